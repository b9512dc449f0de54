"""The plan of `make soak` follows from the seed, its clock is one, and its judge sees leaks."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from collector.settings import environment
from tests.soak.asking import ANSWERED, REFUSED, Asked, unexplained
from tests.soak.clock import SettableClock, write
from tests.soak.commands import settings
from tests.soak.plan import Event, Fault, Span, mesh_off, schedule
from tests.soak.samples import Sample, growths
from tests.soak.traffic import Weather

HOUR_US = 3_600_000_000


def test_every_kind_of_fault_comes_before_any_comes_again() -> None:
    """And the same seed gives the same faults at the same times."""
    day = schedule(random.Random(7), 86_400, list(Fault))

    assert day == schedule(random.Random(7), 86_400, list(Fault))
    assert len(day) == 143
    assert {event.fault for event in day[: len(Fault)]} == set(Fault)
    assert (
        max(Counter(e.fault for e in day).values())
        <= min(Counter(e.fault for e in day).values()) + 1
    )


def test_processes_share_one_clock_and_one_of_them_may_be_wrong(tmp_path: Path) -> None:
    """Both faces go at the rate; a jump shows on the wall of one, and on nobody's steady face."""
    began_s = time.monotonic() - 10
    here, other = tmp_path / "a", tmp_path / "b"
    clock, right = write(here, began_s, HOUR_US, 72.0), write(other, began_s, HOUR_US, 72.0)
    same = SettableClock(here)
    steady_s = clock.monotonic()

    clock.jump(HOUR_US)

    assert same.now_us() - right.now_us() > 0.9 * HOUR_US
    assert steady_s >= 720.0
    assert abs(same.monotonic() - right.monotonic()) < 60.0
    clock.jump(0)
    assert abs(same.now_us() - right.now_us()) < 60_000_000


def test_what_grows_is_told_from_what_is_flat() -> None:
    """A leak of memory, or of a descriptor a minute, shows; caches that fill at first do not."""
    flat = [Sample(at, 100e6 if at > 20 else 50e6, 12, 7) for at in range(400)]
    leaky = [Sample(at, 100e6 + at * 1e5, 12 + at / 60, 7) for at in range(1200)]

    assert all(growth.is_flat for growth in growths(flat))
    assert [growth.what for growth in growths(leaky) if not growth.is_flat] == [
        "memory",
        "descriptors",
    ]
    assert growths(flat[:20]) == []


def test_copies_lack_in_an_outage_and_while_the_policy_has_no_mirror() -> None:
    """The truth knows the one from the other."""
    weather = Weather([Event(0, Fault.MIRROR_OFF)], random.Random(1))
    weather.turn_off(mesh_off(1_000, rate=20.0))

    assert not any(weather.copies(at_s) for at_s in range(180, 240))
    assert not any(weather.is_off(at_s) for at_s in range(180, 240))
    assert all(weather.is_off(at_s) and not weather.copies(at_s) for at_s in range(1_200, 1_350))
    assert sum(weather.copies(at_s) for at_s in range(300, 1_100)) > 790


def test_a_question_without_an_answer_needs_a_fault_that_explains_it() -> None:
    """Starting, nothing settled, a database that is restarted: whatever else is said is wrong."""
    away, unknown = "503 database-away", "404 not-found"
    said = [REFUSED, unknown, ANSWERED, away, ANSWERED, REFUSED, unknown, away, "503 busy"]
    asked = [Asked(at, at + 0.1, one) for at, one in enumerate(said)]

    wrong = unexplained(asked, [Span(2.5, 2.9)])

    assert [line.split()[3] for line in wrong] == ["5.0", "6.0", "8.0"]
    assert len(unexplained(asked, [])) == 5


@pytest.mark.parametrize("rate", [1.0, 20.0, 72.0, 360.0])
def test_the_settings_of_a_run_are_allowed_at_any_rate(
    rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is multiplied by the rate stays within what the product takes."""
    for name, value in settings(rate, "localhost:9092", "logs", "sqlite:///x.db").items():
        monkeypatch.setenv(name, value)

    assert environment.load({}).kafka.topics == ("logs",)
