"""What one access-log line says, and who wrote it. Plain data, no behaviour."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Role(IntEnum):
    """Which end of a request a line describes."""

    CLIENT = 1
    """The sending proxy's line: cluster `outbound|PORT|SUBSET|HOST`."""
    SERVER = 2
    """The receiving proxy's line: cluster `inbound|PORT||`, one per attempt."""
    UNROUTED = 3
    """No cluster was chosen (denied, no route): only the pod tells which end it was."""


class Identity(msgspec.Struct, frozen=True):
    """Who wrote a line, as its shipper says. An empty field is unknown.

    `labels` are the pod's Kubernetes labels as sorted (name, value) pairs.
    """

    pod: str = ""
    namespace: str = ""
    cluster: str = ""
    node: str = ""
    container: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class AccessLog(msgspec.Struct, gc=False):
    """The fields of one access-log line, as Envoy logged them.

    Text fields are empty where Envoy logged `-`, null or nothing. `forwarded_for` and
    `server_name` are None when the format does not log them at all, which is another thing
    than an empty value. Times are UTC, in microseconds since the epoch; Envoy logs
    milliseconds.
    """

    start_us: int
    duration_ms: int
    method: str
    path: str
    code: int
    flags: str
    details: str
    bytes_received: int
    bytes_sent: int
    forwarded_for: str | None
    user_agent: str
    request_id: str
    authority: str
    upstream_host: str
    cluster: str
    upstream_local: str
    downstream_local: str
    downstream_remote: str
    server_name: str | None
    route: str
    attempt: int = 0
    """`x-envoy-attempt-count`, 0 where it is not logged."""
    stream_id: str = ""
    """`%UNIQUE_ID%` where it is logged: the identity of the line. See `keys.own_text`."""
    ambiguous: bool = False
    """The line can be read in more than one way: its fields are a guess, never evidence."""
    pod: str = ""
    """Who wrote the line, where the proxy logs it itself: `%ENVIRONMENT(POD_NAME)%`."""
    namespace: str = ""

    @property
    def end_us(self) -> int:
        """When the stream ended and the line could be written, in µs since the epoch."""
        return self.start_us + self.duration_ms * 1000
