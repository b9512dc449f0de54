"""The frontend's application: people look at pages, and each page asks for the forecast.

A quarter of the page views ask twice under one x-request-id, at times for the same path, as real
pages do. That is what a verifier by request id alone gets wrong.
"""

from __future__ import annotations

import http.client
import itertools
import queue
import random
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Final

from verifier.demo.apps import CALL_HEADER, VERSION_HEADER
from verifier.demo.ledger import Ledger
from verifier.demo.pods import AUTHORITY

_CITIES: Final = ("beijing", "shanghai", "shenzhen", "%E6%9D%AD%E5%B7%9E", "chengdu")
_WORKERS: Final = 8
_FAN_OUT_SHARE: Final = 0.25
_SAME_PATH_SHARE: Final = 0.3
_REPORT_SHARE: Final = 0.1
_HEAD_SHARE: Final = 0.05
_CALLS_PER_VIEW: Final = 1 + _FAN_OUT_SHARE
_REPORT_BODY: Final = b'{"cloudy": true}'
_TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the frontend's application; an empty `request_id` leaves it to the proxy."""

    method: str
    path: str
    request_id: str = ""


def view_page(number: int, dice: random.Random) -> list[Call]:
    """The calls of one page view: one, or two under one request id.

    Args:
        number: Counts the page views, so that paths differ.
        dice: Decides what the page asks for.
    """
    path = f"/weather?locate={dice.choice(_CITIES)}&n={number}"
    if dice.random() < _FAN_OUT_SHARE:
        request_id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
        second = path if dice.random() < _SAME_PATH_SHARE else "/weather?locate=tomorrow"
        return [Call("GET", path, request_id), Call("GET", second, request_id)]
    if dice.random() < _REPORT_SHARE:
        return [Call("POST", f"/report?n={number}")]
    return [Call("HEAD" if dice.random() < _HEAD_SHARE else "GET", path)]


class Traffic:
    """Drives calls at a steady rate through the frontend's proxy until it is stopped.

    Args:
        port: Where the frontend's proxy listens, on loopback.
        ledger: Is told of every call and answer.
        calls_per_s: Calls a second, on average.
        seed: Makes the page views repeatable.
    """

    def __init__(self, port: int, ledger: Ledger, calls_per_s: float, seed: int = 1) -> None:
        self._port = port
        self._ledger = ledger
        self._pause_s = _CALLS_PER_VIEW / calls_per_s
        self._dice = random.Random(seed)
        self._queue: queue.Queue[Call | None] = queue.Queue(maxsize=_WORKERS * 4)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._schedule, daemon=True)]
        self._threads += [threading.Thread(target=self._work, daemon=True) for _ in range(_WORKERS)]

    def start(self) -> None:
        """Starts to send."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Sends no more, and returns when every call has its answer. May be called twice."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_TIMEOUT_S)

    def _schedule(self) -> None:
        due = time.monotonic()
        for number in itertools.count():
            # A machine too slow for the rate gets less traffic, not a burst later.
            due = max(due + self._pause_s, time.monotonic() - self._pause_s)
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                break
            for call in view_page(number, self._dice):
                self._queue.put(call)
        for _ in range(_WORKERS):
            self._queue.put(None)

    def _work(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        while (call := self._queue.get()) is not None:
            self._make(call, connection)
        connection.close()

    def _make(self, call: Call, connection: http.client.HTTPConnection) -> None:
        name = uuid.uuid4().hex
        headers = {"host": AUTHORITY, "user-agent": "demo-browser/1.0", CALL_HEADER: name}
        if call.request_id:
            headers["x-request-id"] = call.request_id
        body = _REPORT_BODY if call.method == "POST" else None
        self._ledger.started(name)
        try:
            connection.request(call.method, call.path, body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the call stays unanswered; http.client connects again
            return
        self._ledger.answered(name, answer.getheader(VERSION_HEADER, ""))
