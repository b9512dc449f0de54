"""Parts of one process: they live and end together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Final

from collector.errors import MirrorproofError

_JOIN_S: Final = 30.0
"""A part that was told to stop has so long: a batch and its transaction."""


def run_together(parts: Mapping[str, Callable[[Event], object]], stop: Event) -> None:
    """Runs parts in threads of their own until `stop` is set or one of them ends.

    A part that ends ends all: a process with a dead part looks alive and is not.

    Args:
        parts: By name; each runs until the event is set.
        stop: Ends all of them in good order.

    Raises:
        MirrorproofError: A part ended before its time, or did not end when told to.
    """
    failures: dict[str, BaseException | None] = {}

    def run(name: str, work: Callable[[Event], object]) -> None:
        try:
            work(stop)
            if not stop.is_set():
                failures[name] = None
        except BaseException as error:
            failures[name] = error
        finally:
            stop.set()

    threads = [
        Thread(target=run, args=(name, work), name=name, daemon=True)
        for name, work in parts.items()
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(_JOIN_S)
    for name, error in failures.items():
        if isinstance(error, MirrorproofError):
            raise error
        raise MirrorproofError(f"{name} ended: {error or 'without a reason'}") from error
    alive = [thread.name for thread in threads if thread.is_alive()]
    if alive:
        raise MirrorproofError(f"{', '.join(alive)} did not end within {_JOIN_S:g} s")
