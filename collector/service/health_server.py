"""Answers probes, `/livez` and `/readyz`, 200 or 503 with the reasons; and `/metrics`.

Nobody is asked for a key here, as usual for what only the cluster reaches: names of topics,
policies and receivers can be seen, and nothing that was logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

from collector.errors import UsageError
from collector.service.health import Health
from collector.service.process import PATH as METRICS
from collector.service.process import ProcessMetrics

_TIMEOUT_S: Final = 5.0
"""Of a connection that says nothing: probes are quick."""


def answer(health: Health, path: str) -> tuple[HTTPStatus, dict[str, object]]:
    """Status and body of an answer."""
    questions: dict[str, Callable[[], dict[str, str]]] = {
        "/livez": health.not_live,
        "/healthz": health.not_live,
        "/readyz": health.not_ready,
    }
    ask = questions.get(path.partition("?")[0])
    if ask is None:
        return HTTPStatus.NOT_FOUND, {"status": "unknown", "paths": [*questions, METRICS]}
    reasons, warnings = ask(), health.warnings()
    said = {"warnings": warnings} if warnings else {}
    if reasons:
        return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "failing", "reasons": reasons, **said}
    return HTTPStatus.OK, {"status": "ok", **said}


def _handler(health: Health, process: ProcessMetrics | None) -> type[BaseHTTPRequestHandler]:
    """What answers one connection."""

    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def do_GET(self) -> None:
            if process is not None and self.path.partition("?")[0] == METRICS:
                body, kind = process.answer(self.headers.get("Accept", ""))
                return self._send(HTTPStatus.OK, kind, body)
            status, said = answer(health, self.path)
            return self._send(status, "application/json", json.dumps(said).encode() + b"\n")

        def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds; they are no news."""

    return Handler


@contextmanager
def serving(
    health: Health,
    listen: str,
    process: ProcessMetrics | None = None,
    setting: str = "collector.health_listen",
) -> Iterator[int]:
    """Answers as long as the block; gives the port.

    Args:
        health: What to tell.
        listen: `HOST:PORT`, or `:PORT` for all addresses; port 0 takes a free one.
        process: The metrics; None: there are none.
        setting: Where `listen` comes from, for errors.

    Raises:
        UsageError: It cannot listen there.
    """
    host, _, port = listen.rpartition(":")
    try:
        server = ThreadingHTTPServer((host.strip("[]"), int(port)), _handler(health, process))
    except OSError as error:
        message = f"{setting}: cannot listen on {listen}: {error.strerror}"
        raise UsageError(message) from error
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
