"""What the case's predicates spare: bytes that a Trino reads for one account and two days, and for the whole table.

    python benchmarks/scan.py [--accounts 12] [--days 90] [--events 40]

A table in CloudTrail's layout is made of local files, one for each account, Region and day, with partition projection;
one shipped question is asked of it on the engine trino, then the same events are read without any predicate.
"""
