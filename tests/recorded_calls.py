"""Records every operation that botocore is asked for, and everything it sends, into the file that RECORDED_CALLS names.

It is installed in this process by a test, and in kernels as their `sitecustomize`.
"""

import functools
import os
import threading
from pathlib import Path
from typing import Any

from botocore.client import BaseClient
from botocore.httpsession import URLLib3Session

_now = threading.local()


def _note(*words: str) -> None:
    with Path(os.environ["RECORDED_CALLS"]).open("a", encoding="utf-8") as file:
        file.write("\t".join(words) + "\n")


def calling(original: Any) -> Any:
    """`BaseClient._make_api_call` that notes service and operation."""

    @functools.wraps(original)
    def call(self: Any, operation_name: str, api_params: Any) -> Any:
        service = self.meta.service_model.service_name
        _note("call", service, operation_name)
        before, _now.operation = getattr(_now, "operation", None), f"{service} {operation_name}"
        try:
            return original(self, operation_name, api_params)
        finally:
            _now.operation = before

    return call


def sending(original: Any) -> Any:
    """`URLLib3Session.send` that notes where to, and for which operation."""

    @functools.wraps(original)
    def send(self: Any, request: Any) -> Any:
        _note("sent", request.url, getattr(_now, "operation", None) or "no operation")
        return original(self, request)

    return send


PATCHES = ((BaseClient, "_make_api_call", calling), (URLLib3Session, "send", sending))


def install() -> None:
    """Patch botocore in this process, for as long as it lives."""
    for owner, name, patch in PATCHES:
        setattr(owner, name, patch(getattr(owner, name)))
