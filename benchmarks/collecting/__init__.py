"""What `benchmarks/collect.py` is made of: the corpus, the pipelines that read it, and a server that only answers GET."""
