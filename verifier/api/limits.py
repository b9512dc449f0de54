"""Around every request: how many at once, how large, where from; and what every answer carries.

Threads and connections of the database are few. Whoever asks waits for a turn before any of them
is taken, so that no request holds one while it waits for the other.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from anyio import Semaphore, move_on_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from verifier.api.problems import Refusal, answer

AT_ONCE: Final = 10
"""Questions that are answered at the same time; each takes a connection to the database."""
_PROBES: Final = 2
"""Beside them, for readiness: it must be told when all turns are taken."""
_WAIT_S: Final = 10.0
MAX_BODY: Final = 1 << 20
"""Bytes of any body: the policies of a large mesh."""
_FREE: Final = ("/healthz", "/login", "/static/")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Limits:
    """Lets requests through to an application.

    Args:
        app: The application.
        wait_s: How long a request waits for its turn.
    """

    def __init__(self, app: ASGIApp, wait_s: float = _WAIT_S) -> None:
        self._app: Final = app
        self._wait_s: Final = wait_s
        self._turns: Final = Semaphore(AT_ONCE)
        self._probes: Final = Semaphore(_PROBES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        turns = self._probes if path == "/readyz" else self._turns
        if path.startswith(_FREE) and scope["method"] == "GET":
            await self._app(scope, receive, _with_headers(send))
            return
        with move_on_after(self._wait_s) as waiting:
            await turns.acquire()
        if waiting.cancelled_caught:
            await answer(Request(scope), _busy())(scope, receive, _with_headers(send))
            return
        turn = _Turn(turns)
        try:
            await self._app(scope, _bounded(scope, receive), _with_headers(turn.ends_with(send)))
        finally:
            turn.end()


class _Turn:
    """One that is taken; it ends when the answer begins, as it is made then: clients are slow."""

    def __init__(self, turns: Semaphore) -> None:
        self._turns: Final = turns
        self._ended = False

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._turns.release()

    def ends_with(self, send: Send) -> Send:
        async def ending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.end()
            await send(message)

        return ending


def _busy() -> Refusal:
    detail = "too many questions at once; ask again in 1 s"
    wait = {"Retry-After": "1"}
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "busy", detail, headers=wait)


def _with_headers(send: Send) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return adding


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Reads no body that is too large, whatever the route does with it."""
    said = Headers(scope=scope).get("content-length", "")
    size = int(said) if said.isdecimal() and len(said) < 19 else 0

    async def receiving() -> Message:
        nonlocal size
        if size > MAX_BODY:
            raise HTTPException(413, f"bodies have at most {MAX_BODY} bytes")
        message = await receive()
        if not said:
            size += len(message.get("body", b""))
        if size > MAX_BODY:
            raise HTTPException(413, f"bodies have at most {MAX_BODY} bytes")
        return message

    return receiving


__all__: Final = ["AT_ONCE", "MAX_BODY", "Limits"]
