"""When the watchdog ends the process."""

from __future__ import annotations

from threading import Event

import pytest

from collector.service.health import Health
from collector.service.watchdog import watch
from tests.clocks import HandClock

HANG_S = 60.0


class Ended(Exception):
    """Stands for the end of the process."""


class Waits(HandClock):
    """A clock whose waits take as long as they are told, then the watch ends."""

    def __init__(self, *seconds: float) -> None:
        super().__init__()
        self._seconds = list(seconds)

    def wait(self, stop: Event, seconds: float) -> bool:
        """See `Clock`."""
        if not self._seconds:
            return True
        self.advance(self._seconds.pop(0))
        return stop.is_set()


@pytest.fixture(autouse=True)
def _no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr("faulthandler.dump_traceback", lambda *_args, **_options: None)


def run(*waits: float) -> int:
    """Watches a loop that never moves; returns how often the database's waits were ended."""
    clock, interrupted = Waits(*waits), []
    watch(Event(), clock, Health(clock, HANG_S), lambda: interrupted.append(1))
    return len(interrupted)


def test_a_loop_that_stands_still_ends_the_process() -> None:
    """With the exit status that says so, once its time is over."""
    with pytest.raises(Ended, match="70"):
        run(*[1.0] * 62)


def test_half_way_there_waits_for_the_database_are_ended() -> None:
    """Once."""
    assert run(*[1.0] * 50) == 1


def test_a_process_that_was_suspended_gets_another_chance() -> None:
    """Nothing could move while the machine was paused; a loop that hangs still ends it later."""
    assert run(1.0, 300.0, 1.0) == 0
    with pytest.raises(Ended):
        run(300.0, *[1.0] * 62)
