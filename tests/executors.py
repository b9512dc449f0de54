"""Executors without threads, so that a test decides when work is done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class AtOnce(Executor):
    """Does the work before `submit` returns."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs it."""
        return _run(Future(), lambda: work(*args, **kwargs))


class ByHand(Executor):
    """Does the work when it is told to, or, at the latest, when somebody waits for its end."""

    def __init__(self) -> None:
        self.open: list[Callable[[], object]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Puts it on the pile."""
        future = _Awaited(self)
        self.open.append(lambda: _run(future, lambda: work(*args, **kwargs)))
        return future

    def run(self) -> None:
        """Does all that is open."""
        while self.open:
            self.open.pop(0)()


class _Awaited(Future[Any]):
    def __init__(self, pile: ByHand) -> None:
        super().__init__()
        self._pile = pile

    def result(self, timeout: float | None = None) -> Any:
        self._pile.run()
        return super().result(timeout)


def _run(future: Future[Any], work: Callable[[], Any]) -> Future[Any]:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
    return future
