"""What goes to a receiver by HTTP, and what comes back: pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to post, by HTTP.

    Attributes:
        url: Where; a secret.
        body: As it is sent and signed.
        headers: Besides the usual ones.
    """

    url: str
    body: bytes
    headers: Mapping[str, str] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came back.

    Attributes:
        status: HTTP status.
        retry_after: The header; None: not there.
        body: Its beginning. For judging, never to be shown.
    """

    status: int
    retry_after: str | None = None
    body: bytes = b""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint may be called.

    Attributes:
        timeout_s: The whole attempt.
        allow_http: Without TLS.
        allow_private: In our own networks.
        ca_file: Authorities that sign its certificate, PEM; None: the system's.
    """

    timeout_s: float = 15.0
    allow_http: bool = False
    allow_private: bool = False
    ca_file: Path | None = None
