"""A small S3 of the tests' own, over HTTP: it lists and serves objects, and fails as it is told to."""

import hashlib
import json
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

ANSWERS = {
    "SlowDown": (503, "Please reduce your request rate."),
    "TooManyRequests": (429, "Too many requests."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "AccessDenied": (403, "User: arn:aws:iam::111122223333:user/ir is not authorized to perform: kms:Decrypt"),
    "InvalidObjectState": (403, "The operation is not valid for the object's storage class"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "ExpiredToken": (400, "The provided token has expired."),
}  # fmt: skip


@dataclass
class Server:
    """A running server.

    Attributes
    ----------
    objects
        Key -> bytes.
    faults
        Key, or `list:<prefix>` -> what to do instead, request by request; the last one of a tuple that ends in "always"
        goes on for ever.
    expired
        Access keys that are refused as expired.
    """

    endpoint: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    page: int = 1000
    region: str = "us-east-1"
    lock: Lock = field(default_factory=Lock)

    def fault(self, name: str) -> str:
        with self.lock:
            told = self.faults.get(name) or [""]
            return told[0] if len(told) == 1 or told[1:] == ["always"] else told.pop(0)

    def gets(self) -> Counter[str]:
        """How often each key was asked for."""
        return Counter(line.removeprefix("GET ") for line in self.requests if line.startswith("GET "))


@contextmanager
def serve(objects: dict[str, bytes]) -> Iterator[Server]:
    """Serve these objects in every bucket while the context lasts."""
    served = Server(objects=dict(objects))
    httpd = _Quiet(("127.0.0.1", 0), type("Bound", (_Handler,), {"served": served}))
    served.endpoint = f"http://127.0.0.1:{httpd.server_port}"
    Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield served
    finally:
        httpd.shutdown()
        httpd.server_close()


def credentials(monkeypatch: pytest.MonkeyPatch, folder: Path, key: str = "AKIAIOSFODNN7EXAMPLE") -> None:
    """Credentials of this process: made up, and nothing else of the environment."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    file = folder / "credentials"
    file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients go away, and connections are broken on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("x-amz-bucket-region", self.served.region)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        at = urlsplit(self.path)
        key = unquote(at.path.removeprefix("/").partition("/")[2])
        asked = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization") or "")
        if asked and asked[1] in self.served.expired:
            return self._error("ExpiredToken")
        if "list-type=2" in at.query:
            return self._list({name: values[0] for name, values in parse_qs(at.query).items()})
        self.served.requests.append(f"GET {key}")
        fault = self.served.fault(key)
        if fault in ANSWERS:
            return self._error(fault)
        if key not in self.served.objects:
            return self._error("NoSuchKey")
        return self._object(key, fault)

    def _object(self, key: str, fault: str) -> None:
        body = self.served.objects[key]
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        if fault == "reset":
            return self._break()
        if self.headers.get("If-Match") not in (None, etag):
            return self._send(412, b"<Error><Code>PreconditionFailed</Code><Message>changed</Message></Error>")
        start = int(re.findall(r"\d+", self.headers.get("Range") or "0")[0])
        more = {"ETag": etag, "Last-Modified": "Wed, 10 Jun 2026 12:00:00 GMT"} | self.served.headers.get(key, {})
        if start:
            more["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.send_response(206 if start else 200)
        for name, value in {**more, "Content-Length": str(len(body) - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        half = len(body) // 2 if fault in {"truncate", "stall"} else len(body)
        self.wfile.write(body[start : max(half, start)])
        if fault in {"truncate", "stall"}:
            self.wfile.flush()
            time.sleep(0.01 if fault == "truncate" else 2)
            self._break()
        return None

    def _break(self) -> None:
        """End the connection with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()
        self.close_connection = True

    def _list(self, asked: dict[str, str]) -> None:
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        self.served.requests.append(f"LIST {json.dumps(prefix)}")
        fault = self.served.fault(f"list:{prefix}")
        if fault in ANSWERS:
            return self._error(fault)
        after = asked.get("continuation-token") or asked.get("start-after", "")
        found: dict[str, int | None] = {}
        token = ""
        for key in sorted(self.served.objects):
            rest = key[len(prefix) :]
            name = prefix + rest[: rest.index(delimiter) + 1] if delimiter and delimiter in rest else key
            if not key.startswith(prefix) or key <= after or name <= after:
                continue
            if name not in found and len(found) == self.served.page:
                token = list(found)[-1]
                break
            found[name] = None if name != key or (delimiter and delimiter in rest) else len(self.served.objects[key])
        parts = [
            f"<CommonPrefixes><Prefix>{escape(quote(name))}</Prefix></CommonPrefixes>"
            if size is None
            else f"<Contents><Key>{escape(quote(name))}</Key><LastModified>2026-06-10T12:00:00.000Z</LastModified>"
            f"<ETag>&quot;{hashlib.md5(self.served.objects[name]).hexdigest()}&quot;</ETag><Size>{size}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for name, size in found.items()
        ]
        more = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
        self._send(
            200,
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<EncodingType>url</EncodingType><IsTruncated>{'true' if token else 'false'}</IsTruncated>"
            f"{more}{''.join(parts)}</ListBucketResult>".encode(),
        )
        return None

    def _error(self, code: str) -> None:
        status, message = ANSWERS[code]
        body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        self._send(status, body.encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
