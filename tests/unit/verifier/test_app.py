"""Parts of one process: they live and end together."""

from __future__ import annotations

from itertools import pairwise
from threading import Event

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError

from collector.errors import MirrorproofError, Retryable, UsageError
from collector.settings import VerifierSettings
from tests.clocks import HandClock
from verifier.app import Parts, Verifier, tick_rules
from verifier.together import run_together


def until_stopped(stop: Event) -> None:
    """A part that lives as long as it should."""
    stop.wait()


def test_stopping_ends_all_parts_in_good_order() -> None:
    """SIGTERM sets the event; nothing is wrong then."""
    stop = Event()
    seen: list[str] = []

    def stops(event: Event) -> None:
        event.wait()
        seen.append("stopped")

    def asks(event: Event) -> None:
        event.set()

    run_together({"a": stops, "b": stops, "c": asks}, stop)

    assert seen == ["stopped", "stopped"]


def test_a_part_that_fails_ends_all() -> None:
    """Its error is the process's."""

    def fails(_stop: Event) -> None:
        raise UsageError("database gone for good")

    with pytest.raises(UsageError, match="gone for good"):
        run_together({"collector": until_stopped, "verifier": fails}, Event())


def test_a_part_that_ends_before_its_time_ends_all() -> None:
    """A process with a dead part looks alive and is not."""
    with pytest.raises(MirrorproofError, match="collector ended"):
        run_together({"collector": lambda _stop: None, "verifier": until_stopped}, Event())


def test_an_unknown_failure_keeps_its_cause() -> None:
    """A bug in a part is told with its name and its traceback."""

    def breaks(_stop: Event) -> None:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(MirrorproofError, match="verifier ended: division by zero") as caught:
        run_together({"collector": until_stopped, "verifier": breaks}, Event())

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_settings_become_rules_in_microseconds() -> None:
    """Seconds are for people."""
    rules = tick_rules(VerifierSettings(window_s=2, shipping_allowance_s=1.5))

    assert (rules.window_us, rules.evidence.allowance_us) == (2_000_000, 1_500_000)


def test_a_database_that_is_away_is_tried_again_with_growing_waits() -> None:
    """The loop neither ends nor spins, and goes on when the database is back."""
    engine = create_engine("sqlite://")
    clock, stop = HandClock(), Event()
    tries: list[float] = []

    @event.listens_for(engine, "do_connect")
    def refuse(*_args: object) -> None:
        tries.append(clock.monotonic())
        if len(tries) == 6:
            stop.set()
        raise OperationalError("connect", {}, Exception("connection refused"))

    parts = Parts(engine=engine, clock=clock, owner="a", settings=VerifierSettings())

    Verifier(parts).run(stop)

    waits = [after - before for before, after in pairwise(tries)]
    assert len(tries) == 6
    assert waits[-1] > waits[0] > 0


def test_settling_once_says_when_the_database_is_away() -> None:
    """A script is told, not kept waiting."""
    engine = create_engine("sqlite://")

    @event.listens_for(engine, "do_connect")
    def refuse(*_args: object) -> None:
        raise OperationalError("connect", {}, Exception("connection refused"))

    parts = Parts(engine=engine, clock=HandClock(), owner="a", settings=VerifierSettings())

    with pytest.raises(Retryable, match="connection refused"):
        Verifier(parts).settle_due()
