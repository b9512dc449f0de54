"""Where other machines may ask, nothing but health is told until somebody said who may.

A key is made in the database, by a program that needs it to be there: so the API of a new
installation starts, lives, is not ready, and opens by itself as soon as there is a key.
"""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from typing import Final, Protocol

from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from collector.errors import MirrorproofError
from verifier.api.problems import Refusal, answer

NO_KEY: Final = "no API key yet: run `mirrorproof key create NAME --scope admin`"
_RETRY_AFTER_S: Final = 5
_HEALTH: Final = ("/healthz", "/readyz")


class Keyed(Protocol):
    """Knows whether anybody was told who may ask."""

    def waits(self) -> bool:
        """Whether there is neither a key nor a provider, and this machine is not alone."""
        ...


class Waiting:
    """Answers everything but health with 503 while nobody may ask.

    Args:
        app: The application.
        keyed: Asked before each request, until there is a key; it may ask the database.
    """

    def __init__(self, app: ASGIApp, keyed: Keyed) -> None:
        self._app: Final = app
        self._keyed: Final = keyed
        self._is_open = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if not self._is_open and scope["type"] == "http" and scope["path"] not in _HEALTH:
            refusal = await run_sync(self._refusal)
            if refusal is not None:
                await answer(Request(scope), refusal)(scope, receive, send)
                return
            self._is_open = True  # whoever revokes all keys leaves a shut door: 401
        await self._app(scope, receive, send)

    def _refusal(self) -> Refusal | None:
        wait = {"Retry-After": str(_RETRY_AFTER_S)}
        status = HTTPStatus.SERVICE_UNAVAILABLE
        try:
            return Refusal(status, "no-key", NO_KEY, headers=wait) if self._keyed.waits() else None
        except (MirrorproofError, SQLAlchemyError):
            detail = "the database is away, which has the keys"
            return Refusal(status, "database-away", detail, headers=wait)


def address_of(listen: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; no host: all addresses."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - asked for, and keys are needed


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's, for itself alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
