"""The key that ties the lines of one request together, and the identity of a line.

Both are hashes taken before redaction: settling compares hashes, people see redacted fields.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any, Final

from collector.records import AccessLog

KEY_BYTES: Final = 16
LINE_BYTES: Final = 8
_TRACE_POSITION: Final = 14
"""Character of a UUID request id that Envoy rewrites with the trace reason.
Source: Envoy UUIDRequestIDExtension."""
_as_number: Final = Struct("!q").unpack
_lines: Final = blake2b(digest_size=LINE_BYTES)


@lru_cache(maxsize=16)
def _keyed(secret: bytes) -> Any:
    """A hash that took in its key already: copying it takes a third of making one."""
    return blake2b(digest_size=KEY_BYTES, key=secret)


def mask_request_id(request_id: str) -> str:
    """A request id without its trace reason: character 14 of a UUID becomes `0`.

    Proxies with different tracing settings log different characters for one request. An id that
    is not shaped like a UUID is returned as it is.
    """
    if len(request_id) == 36 and request_id[8:24:5] == "----":
        return f"{request_id[:_TRACE_POSITION]}0{request_id[_TRACE_POSITION + 1 :]}"
    return request_id


def same_ids(request_id: str) -> list[str]:
    """All ids that are this one, whatever the trace reason in it is."""
    masked = mask_request_id(request_id)
    if masked == request_id and len(request_id) != 36:
        return [request_id]
    # One character of a UUID varies: the sixteen that it can be are looked up.
    likely = {f"{masked[:14]}{digit}{masked[15:]}" for digit in "0123456789abcdef"}
    return sorted({*likely, request_id})


def request_key(request_id: str, method: str, path: str, host: str, secret: bytes) -> bytes:
    """The 128-bit key shared by all lines of one request (and by its retries and fan-outs).

    Args:
        request_id: As logged; its trace reason is masked.
        method: HTTP method.
        path: Path with query, as logged.
        host: Canonical host, see `collector.hosts`.
        secret: At most 64 bytes that all replicas share, so that nobody outside can make ids
            whose keys collide.
    """
    text = f"{mask_request_id(request_id)}\n{method}\n{path}\n{host}"
    hasher = _keyed(secret).copy()
    hasher.update(text.encode("utf-8", "replace"))
    digest: bytes = hasher.digest()
    return digest


def own_text(log: AccessLog, line: str) -> str:
    """What no other line of a pod has: an id of its own where one is logged, else all of it.

    `%UNIQUE_ID%` is one. `%STREAM_ID%` of HTTP is the request's id, which retries and fan-outs
    share, and whose trace reason may differ from the logged one's.
    """
    own = log.stream_id
    if own and mask_request_id(own) != mask_request_id(log.request_id):
        return own
    return line


def line_identity(log: AccessLog, line: str) -> int:
    """What makes a line itself: a re-read line has the same, whatever its Kafka offset.

    Compare it only between lines of one pod.

    Args:
        log: The parsed fields.
        line: The line as the proxy wrote it, without its shipper's envelope and newline.

    Returns:
        A signed 64-bit number, which both databases can hold.
    """
    hasher = _lines.copy()
    text = own_text(log, line) if log.stream_id else line
    hasher.update(text.encode("utf-8", "replace"))
    number: int = _as_number(hasher.digest())[0]
    return number
