"""Answers the probes of Kubernetes: `/livez` and `/readyz`, 200 or 503 with the reasons."""

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

_TIMEOUT_S: Final = 5.0
"""Of a connection that says nothing: probes are quick."""


def answer(health: Health, path: str) -> tuple[HTTPStatus, dict[str, object]]:
    """Status and body of an answer."""
    questions: dict[str, Callable[[], dict[str, str]]] = {
        "/livez": health.not_live,
        "/readyz": health.not_ready,
    }
    ask = questions.get(path.partition("?")[0])
    if ask is None:
        return HTTPStatus.NOT_FOUND, {"status": "unknown", "paths": list(questions)}
    reasons, warnings = ask(), health.warnings()
    said = {"warnings": warnings} if warnings else {}
    if reasons:
        return HTTPStatus.SERVICE_UNAVAILABLE, {"status": "failing", "reasons": reasons, **said}
    return HTTPStatus.OK, {"status": "ok", **said}


@contextmanager
def serving(health: Health, listen: str) -> Iterator[int]:
    """Answers as long as the block; gives the port.

    Args:
        health: What to tell.
        listen: `HOST:PORT`, or `:PORT` for all addresses; port 0 takes a free one.

    Raises:
        UsageError: It cannot listen there.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def do_GET(self) -> None:
            status, said = answer(health, self.path)
            body = json.dumps(said).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds; they are no news."""

    host, _, port = listen.rpartition(":")
    try:
        server = ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
    except OSError as error:
        message = f"collector.health_listen: cannot listen on {listen}: {error.strerror}"
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
