"""Small objects through boto3 and through obstore, from a server that costs next to nothing.

    python -m benchmarks.collecting.fetching NAME URL COUNT THREADS

prints seconds and CPU seconds of the client as JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_KEY, _SECRET = "AKIAIOSFODNN7EXAMPLE", "not-a-secret"


def _boto3(url: str, threads: int) -> Callable[[str], int]:
    import boto3
    from botocore.config import Config

    config = Config(max_pool_connections=threads, s3={"addressing_style": "path"})
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=_KEY, aws_secret_access_key=_SECRET,
        region_name="us-east-1", config=config,
    )  # fmt: skip
    return lambda key: len(client.get_object(Bucket="b", Key=key)["Body"].read())


def _obstore(url: str, _: int) -> Callable[[str], int]:
    from obstore.store import S3Store

    store = S3Store(
        "b", endpoint=url, access_key_id=_KEY, secret_access_key=_SECRET, region="us-east-1",
        virtual_hosted_style_request=False, client_options={"allow_http": True},
    )  # fmt: skip
    return lambda key: len(store.get(key).bytes())


def main() -> None:
    """Fetch COUNT objects and print what it took."""
    name, url, count, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    get = {"boto3": _boto3, "obstore": _obstore}[name](url, threads)
    for number in range(20):
        get(f"warm/{number}")
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        sizes = set(pool.map(get, (f"AWSLogs/{number}.json.gz" for number in range(count))))
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"objects": count, "seconds": seconds, "cpu": cpu, "sizes": sorted(sizes)}))


if __name__ == "__main__":
    main()
