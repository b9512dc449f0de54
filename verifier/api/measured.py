"""Counts requests by their routes, and writes one line of the log for each."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector import metrics
from collector.clock import Clock
from collector.log import get_logger

UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PATH_CHARACTERS: Final = 200


class RequestMetrics:
    """What is counted of requests.

    Args:
        registry: Gets it.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests: Final = metrics.API_REQUESTS.counter(registry)
        self._seconds: Final = metrics.API_SECONDS.histogram(registry)

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


class Measured:
    """Goes around the application, to the last byte of each answer.

    Args:
        app: The application.
        counted: Counts.
        clock: Takes the time.
        prefix: Of the routes that were included with one: they tell their path without it.
    """

    def __init__(
        self, app: ASGIApp, counted: RequestMetrics, clock: Clock, prefix: str = ""
    ) -> None:
        self._app: Final = app
        self._counted: Final = counted
        self._clock: Final = clock
        self._prefix: Final = prefix
        self._log = get_logger(component="api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status = 500  # of what ends without an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        began_s = self._clock.monotonic()
        try:
            await self._app(scope, receive, watched)
        finally:
            self._tell(scope, status, self._clock.monotonic() - began_s)

    def _route(self, scope: Scope) -> str:
        """The template of what was asked."""
        route: str = getattr(scope.get("route"), "path", "")
        if not route:
            return UNMATCHED
        is_included = scope["path"].startswith(f"{self._prefix}/")
        return route if route.startswith(self._prefix) or not is_included else self._prefix + route

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._route(scope)
        self._counted.add(scope["method"], route, status, seconds)
        # Without the query: it may name request ids.
        self._log.debug(
            "request_answered",
            method=scope["method"][:_PATH_CHARACTERS],
            path=scope["path"][:_PATH_CHARACTERS],
            route=route,
            status=status,
            seconds=round(seconds, 4),
            caller=scope.get("state", {}).get("caller", ""),
        )
