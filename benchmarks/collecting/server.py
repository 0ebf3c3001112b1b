"""A server that answers every GET with the same bytes, faster than any client asks: S3 without S3's part of the time.

It understands no more of HTTP than the clients measured here use: one request after another on a kept connection.
"""

import asyncio
import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_HEAD = (
    b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: binary/octet-stream\r\nETag: "0"\r\n'
    b"Last-Modified: Wed, 10 Jun 2026 12:00:00 GMT\r\nAccept-Ranges: bytes\r\n\r\n"
)


class _Connection(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer, self._waiting = answer, b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._waiting = (self._waiting + data).split(b"\r\n\r\n")
        if requests and self._transport is not None:
            self._transport.write(self._answer * len(requests))


def _serve(port: int, body: bytes) -> None:
    async def run() -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", port))
        answer = _HEAD % len(body) + body
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(answer), sock=listening)
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def serving(body: bytes, processes: int = 2) -> Iterator[str]:
    """Address of a server that is there as long as the context."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = [multiprocessing.Process(target=_serve, args=(port, body), daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                break
            except OSError:
                asyncio.run(asyncio.sleep(0.05))
        yield f"http://127.0.0.1:{port}"
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
