"""Posts one request to a receiver, and believes nothing that comes back.

No redirects, no proxies of the environment, no more than 64 KB of an answer, within one deadline.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import Final

import httpcore2
import httpx2

from collector.errors import UsageError
from verifier.alerts.exchange import Reply, Request, Rules
from verifier.alerts.lines import Backend, Deadline, Interrupted, Lines, SendFailed

MOST_BYTES: Final = 65_536
"""Of an answer: more is not read."""
_USER_AGENT: Final = "mirrorproof"


def post(request: Request, rules: Rules, lines: Lines) -> Reply:
    """Posts, once.

    Raises:
        SendFailed: No answer; the message says why.
        Interrupted: The lines were cut.
        UsageError: The authorities' file cannot be read.
    """
    return _exchange("POST", request, rules, lines)


def get(url: str, rules: Rules, lines: Lines) -> Reply:
    """Asks for something that is no larger than `MOST_BYTES`, as `post` does."""
    return _exchange("GET", Request(url=url, body=b""), rules, lines)


def _exchange(method: str, request: Request, rules: Rules, lines: Lines) -> Reply:
    if not request.url.startswith("https://") and not rules.allow_http:
        raise SendFailed("refused to send without TLS; see allow_http")
    deadline = Deadline(rules.timeout_s)
    backend = Backend(deadline, lines, allow_private=rules.allow_private)
    headers = {"user-agent": _USER_AGENT, "accept-encoding": "identity", **request.headers}
    transport = _Transport(tls_context(rules.ca_file), backend)
    try:
        with (
            httpx2.Client(transport=transport, trust_env=False, timeout=None) as client,
            client.stream(method, request.url, content=request.body, headers=headers) as answer,
        ):
            return Reply(
                status=answer.status_code,
                retry_after=answer.headers.get("retry-after"),
                body=_beginning(answer),
            )
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        if lines.is_cut:
            raise Interrupted from error
        raise SendFailed(_words(error)) from error


class _Transport(httpx2.HTTPTransport):
    """Connects through our backend, which httpx2 has no argument for."""

    def __init__(self, context: ssl.SSLContext, backend: Backend) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context, max_connections=1, network_backend=backend
        )


def _beginning(answer: httpx2.Response) -> bytes:
    found = bytearray()
    for chunk in answer.iter_raw():  # not unpacked: a bomb stays packed
        found += chunk
        if len(found) >= MOST_BYTES:
            break
    return bytes(found[:MOST_BYTES])


def _words(error: Exception) -> str:
    """What went wrong, without what the receiver said and where it is."""
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return "the URL cannot be used"
    if isinstance(error, httpx2.RemoteProtocolError):
        return "no HTTP answer"
    return f"no answer ({type(error).__name__})"


@lru_cache(maxsize=64)
def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """What certificates are checked by. Raises UsageError: the file cannot be read."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "not PEM"
        raise UsageError(f"ca_file: cannot read {ca_file}: {reason}") from error
