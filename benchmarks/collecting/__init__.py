"""What `benchmarks/collect.py` is made of: a corpus, the pipelines that read it, a server that only answers GET."""
