"""The applications behind the forecast pods: they answer, and write down what reached them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from verifier.demo.ledger import Ledger
from verifier.demo.pods import FORECASTS, Pod

CALL_HEADER: Final = "x-demo-call"
"""Names the call; the caller sets it and proxies copy it, also to the mirror. No proxy logs it."""
VERSION_HEADER: Final = "x-demo-version"
"""Which version answered; an application signs its answers with it."""
_BODY: Final = b'{"city": "%s", "celsius": 21, "sky": "clear"}\n'


class Behaviour:
    """How the applications of a version answer; tests change it while traffic flows.

    Attributes:
        status: Status code of every answer.
        delay_s: How long an answer takes, in seconds.
    """

    def __init__(self) -> None:
        self.status = 200
        self.delay = threading.Event()
        self.delay_s = 0.0

    def pause(self) -> None:
        """Takes as long as an answer shall take."""
        if self.delay_s > 0:
            self.delay.wait(self.delay_s)


class _Server(ThreadingHTTPServer):
    """One application: an HTTP server on a free loopback port."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, pod: Pod, ledger: Ledger, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pod: Final = pod
        self.ledger: Final = ledger
        self.behaviour: Final = behaviour

    def handle_error(self, request: object, client_address: object) -> None:
        """A proxy that is stopped closes its connections: that is no error of the demo."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write for each answer, not one for each header
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length:
            self.rfile.read(length)
        pod, behaviour = self.server.pod, self.server.behaviour
        self.server.ledger.arrived(self.headers.get(CALL_HEADER) or "", pod.version)
        behaviour.pause()
        body = _BODY % pod.version.encode()
        self.send_response_only(behaviour.status)
        self.send_header(VERSION_HEADER, pod.version)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Writes nothing: the demo's terminal belongs to its table."""


class Applications:
    """The applications of all forecast pods. Use it as a context manager.

    Args:
        ledger: Where they write down what reached them.
        pods: One application for each.
    """

    def __init__(self, ledger: Ledger, pods: Iterable[Pod] = FORECASTS) -> None:
        self.behaviour: Final = {"v1": Behaviour(), "v2": Behaviour()}
        self._servers = [_Server(pod, ledger, self.behaviour[pod.version]) for pod in pods]
        self.ports: Final = {server.pod.name: server.server_port for server in self._servers}
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
            for server in self._servers
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for behaviour in self.behaviour.values():
            behaviour.delay.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
