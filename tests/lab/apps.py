"""The applications of the lab: each call brings along what they shall do with it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from verifier.demo.pods import Pod

CALL_HEADER: Final = "x-lab-call"
"""Names the call. Proxies copy it, also to the mirror, and log it nowhere."""
SCRIPT_HEADER: Final = "x-lab-script"
"""`VERSION:STEP,STEP;VERSION:STEP`, a step for each arrival at the version, the last one for all
further ones: `503` or `200~0.5` (after half a second), `cut` (no answer at all), `deaf~2` (reads
no body for so long)."""
VERSION_HEADER: Final = "x-lab-version"


@dataclass
class CallTruth:
    """What became of one call, as caller and applications saw it.

    Attributes:
        kind: What the scenario calls it.
        method: HTTP method.
        path: Which no other call has, unless the scenario says so.
        rid: The x-request-id that the caller chose, or empty.
        at: When it was made, in seconds since the epoch.
        arrived: How often it reached an application of each version.
        by: The version whose answer the caller got, or empty.
        status: What the caller got; 0: nothing.
    """

    kind: str
    method: str
    path: str
    rid: str = ""
    at: float = 0.0
    arrived: dict[str, int] = field(default_factory=dict)
    by: str = ""
    status: int = 0


class Truth:
    """All calls by their names; any thread may write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls: Final[dict[str, CallTruth]] = {}

    def begin(self, name: str, call: CallTruth) -> None:
        """A call is made."""
        with self._lock:
            self.calls[name] = call

    def arrived(self, name: str, version: str) -> int:
        """A call reached an application: for the how manieth time at its version, from 0."""
        with self._lock:
            call = self.calls.get(name)
            if call is None:
                return 0
            before = call.arrived.get(version, 0)
            call.arrived[version] = before + 1
            return before


def _step(script: str, version: str, number: int) -> tuple[str, float]:
    """What an application shall do, and how long it shall wait before, in seconds."""
    for part in filter(None, script.split(";")):
        who, _, steps = part.partition(":")
        if who == version:
            listed = steps.split(",")
            action, _, pause = listed[min(number, len(listed) - 1)].partition("~")
            return action, float(pause or 0)
    return "200", 0.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, pod: Pod, truth: Truth) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pod: Final = pod
        self.truth: Final = truth

    def handle_error(self, request: object, client_address: object) -> None:
        """Proxies that are stopped close their connections."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        version, name = self.server.pod.version, self.headers.get(CALL_HEADER) or ""
        number = self.server.truth.arrived(name, version)
        action, pause = _step(self.headers.get(SCRIPT_HEADER) or "", version, number)
        if action == "deaf":
            time.sleep(pause)
            action = "200"
        self.rfile.read(int(self.headers.get("content-length") or 0))
        time.sleep(pause)
        if action == "cut":
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(int(action), version)

    def _send(self, status: int, version: str) -> None:
        body = b"" if status == 101 or self.command in ("HEAD", "CONNECT") else b"clear\n"
        self.send_response_only(status)
        self.send_header(VERSION_HEADER, version)
        if status == 101:
            self.send_header("connection", "upgrade")
            self.send_header("upgrade", "websocket")
            self.close_connection = True
        elif status in (301, 302):
            self.send_header("location", f"http://forecast:3002{self.path}/moved")
        if self.command != "CONNECT" and status != 101:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_CONNECT = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Writes nothing."""


class ScriptedApplications:
    """The applications of all forecast pods. Use it as a context manager."""

    def __init__(self, truth: Truth, pods: Iterable[Pod]) -> None:
        self._servers = [_Server(pod, truth) for pod in pods]
        self.ports: Final = {server.pod.name: server.server_port for server in self._servers}
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
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
        for server in self._servers:
            server.shutdown()
            server.server_close()


def call_json(call: CallTruth) -> dict[str, Any]:
    """A call as `truth.json` holds it."""
    found: dict[str, Any] = {"kind": call.kind, "method": call.method, "path": call.path}
    if call.rid:
        found["rid"] = call.rid
    found |= dict(sorted(call.arrived.items()))
    return found | {"by": call.by, "status": call.status, "at": round(call.at, 3)}
