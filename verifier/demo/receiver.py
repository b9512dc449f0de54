"""A receiver of alerts: answers as told, and remembers what came."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

import msgspec

_MOST_BYTES: Final = 1_000_000
_TIMEOUT_S: Final = 30.0


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One request.

    Attributes:
        path: With its query.
        headers: Names in lower case.
        body: As it came.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read. Raises ValueError."""
        return json.loads(self.body)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is said to a request."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = {}


class Receiver:
    """An HTTP server on a free loopback port. Use it as a context manager.

    Args:
        answer: What to say to each request; called by several threads.
        context: For TLS; None: without.
    """

    def __init__(
        self,
        answer: Callable[[Received], Answer] = lambda _received: Answer(),
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.answer = answer
        self._received: list[Received] = []
        self._changed: Final = threading.Condition()
        self._server: Final = _Server(self)
        self._scheme: Final = "http" if context is None else "https"
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread: Final = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="receiver", daemon=True
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """Where to send to."""
        return f"{self._scheme}://127.0.0.1:{self.port}/hook"

    @property
    def received(self) -> list[Received]:
        """All that came, in order."""
        with self._changed:
            return list(self._received)

    def wait_for(self, number: int, seconds: float = 20.0) -> list[Received]:
        """Waits until so many requests came, or the time is over; returns what came."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._received) >= number, seconds)
            return list(self._received)

    def note(self, received: Received) -> Answer:
        """Remembers a request, and says what to answer."""
        with self._changed:
            self._received.append(received)
            self._changed.notify_all()
        return self.answer(received)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.receiver: Final = receiver

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that goes away is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT_S
    wbufsize = -1

    def do_POST(self) -> None:
        length = min(int(self.headers.get("content-length") or 0), _MOST_BYTES)
        answer = self.server.receiver.note(
            Received(
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
        )
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Writes nothing: whoever uses it shows what came."""
