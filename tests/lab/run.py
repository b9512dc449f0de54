"""One run of a scenario: makes calls, and writes logs and truth to a folder."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab.apps import (
    CALL_HEADER,
    SCRIPT_HEADER,
    VERSION_HEADER,
    CallTruth,
    ScriptedApplications,
    Truth,
    call_json,
)
from tests.lab.config import Setup
from tests.lab.mesh import LabMesh
from verifier.demo.pods import AUTHORITY
from verifier.demo.servers import Servers

_TIMEOUT_S: Final = 15.0
_WORKERS: Final = 6


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the frontend's application.

    Attributes:
        kind: What the scenario calls it; part of its path.
        path: Empty: made from the kind and a number.
        script: See `apps.SCRIPT_HEADER`.
        leave_s: The caller goes away so long after it sent the request; 0: it waits.
        short: How many bytes of the body the caller keeps back for ever.
        pod: Straight to the proxy of this pod, past the frontend's.
    """

    kind: str = "plain"
    method: str = "GET"
    path: str = ""
    rid: str = ""
    script: str = ""
    host: str = AUTHORITY
    headers: dict[str, str] = field(default_factory=dict)
    body: int = 0
    short: int = 0
    leave_s: float = 0.0
    pod: str = ""


class Run:
    """A mesh at work.

    Attributes:
        mesh: Its proxies.
        events: When (seconds since the epoch) something changed, by name.
    """

    def __init__(self, mesh: LabMesh, truth: Truth) -> None:
        self.mesh: Final = mesh
        self.truth: Final = truth
        self.events: Final[dict[str, float]] = {}
        self._numbers = iter(range(1, 1_000_000))
        self._lock = threading.Lock()

    def event(self, name: str) -> None:
        """Something changes now."""
        self.events[name] = time.time()

    def many(self, calls: Iterable[Call], *, every_s: float = 0.0) -> None:
        """Makes calls, a few at a time, and returns when all are answered."""
        with ThreadPoolExecutor(_WORKERS) as pool:
            for made in [pool.submit(self.make, call) for call in _paced(calls, every_s)]:
                made.result()

    @contextmanager
    def meanwhile(self, call: Callable[[], Call], every_s: float = 0.01) -> Iterator[None]:
        """Makes calls at a steady rate while something else happens."""
        stop = threading.Event()

        def endless() -> Iterator[Call]:
            while not stop.wait(every_s):
                yield call()

        thread = threading.Thread(target=self._stream, args=(endless(),))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _stream(self, calls: Iterator[Call]) -> None:
        with ThreadPoolExecutor(_WORKERS) as pool:
            for call in calls:
                pool.submit(self.make, call)

    def make(self, call: Call) -> None:
        """Makes one call and notes what the caller saw."""
        name = uuid.uuid4().hex
        with self._lock:
            path = call.path or f"/{call.kind}/{next(self._numbers)}"
        seen = CallTruth(call.kind, call.method, path, call.rid, time.time())
        self.truth.begin(name, seen)
        headers = {"host": call.host, "user-agent": "lab/1.0", CALL_HEADER: name}
        headers |= {SCRIPT_HEADER: call.script} if call.script else {}
        headers |= {"x-request-id": call.rid} if call.rid else {}
        headers |= {"content-length": str(call.body)} if call.body else {}
        port = self.mesh.port_of(call.pod) if call.pod else self.mesh.port
        self._speak(call, path, headers | call.headers, port, seen)

    @staticmethod
    def _speak(call: Call, path: str, headers: dict[str, str], port: int, seen: CallTruth) -> None:
        timeout = call.leave_s or _TIMEOUT_S
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as connection,
        ):
            lines = [f"{call.method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            connection.sendall(b"x" * (call.body - call.short))
            connection.settimeout(timeout)
            answer = http.client.HTTPResponse(connection, method=call.method)
            answer.begin()
            seen.status = answer.status
            seen.by = answer.getheader(VERSION_HEADER, "") or ""
            if answer.status != 101:
                answer.read()


def _paced(calls: Iterable[Call], every_s: float) -> Iterator[Call]:
    for call in calls:
        time.sleep(every_s)
        yield call


@contextmanager
def opened(setup: Setup, folder: Path) -> Iterator[Run]:
    """A mesh at work; its logs are complete in `folder` once the context ends."""
    with ExitStack() as stack:
        servers = stack.enter_context(Servers())
        truth = Truth()
        apps = stack.enter_context(ScriptedApplications(truth, setup.pods))
        mesh = LabMesh(servers, folder, apps.ports, setup)
        mesh.start()
        yield Run(mesh, truth)
        time.sleep(0.3 + setup.flush_ms / 1000)  # streams that the callers left come to their end
        for pod in mesh.logs:
            mesh.stop_sidecar(pod)


def save(run: Run, policy: str, proxies: dict[str, int], logs: Path, folder: Path) -> None:
    """Writes packed logs, truth and policy to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*"):
        old.unlink()
    for pod in run.mesh.logs:
        packed = gzip.compress((logs / f"{pod}.log").read_bytes(), mtime=0)
        (folder / f"{pod}.log.gz").write_bytes(packed)
    calls = sorted(
        run.truth.calls.values(), key=lambda call: (call.kind, len(call.path), call.path)
    )
    rows = ",\n  ".join(json.dumps(call_json(call)) for call in calls)
    head = json.dumps({"events": run.events, "proxies": proxies})[:-1]
    text = f'{head}, "calls": [\n  {rows}]}}\n'
    (folder / "truth.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    (folder / "policy.yaml").write_text(policy)
