"""The threads of one endpoint: a slow receiver keeps these busy, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from verifier.alerts.endpoints import Endpoint
from verifier.alerts.senders import Sender


class Lane:
    """One endpoint and its threads."""

    def __init__(self, endpoint: Endpoint, send: Sender) -> None:
        self.endpoint: Final = endpoint
        self.send: Final = send
        self._pool: Final = ThreadPoolExecutor(endpoint.concurrency, f"alert-{endpoint.name}")
        self._running: set[Future[None]] = set()

    def start(self, work: Callable[[Lane], None], messages: int) -> None:
        """Has up to so many threads work, as far as they are free."""
        self._running = {one for one in self._running if not one.done()}
        for _ in range(min(messages, self.endpoint.concurrency - len(self._running))):
            self._running.add(self._pool.submit(work, self))

    @property
    def running(self) -> set[Future[None]]:
        """What is under way, or was."""
        return set(self._running)

    def close(self) -> None:
        """Lets its threads end when they are done."""
        self._pool.shutdown(wait=False, cancel_futures=True)
