"""The watches over shares: what they find, how soon, how often they are wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.statistics.sequential import (
    SHIFTS,
    YEAR_US,
    Copied,
    Lost,
    Track,
    Watch,
    decide,
    watch_loss,
    watch_share,
)

WINDOW_US = 10_000_000


def spans(count: int) -> Iterator[tuple[int, int]]:
    """Windows of ten seconds in a row."""
    return pairwise(range(0, (count + 1) * WINDOW_US, WINDOW_US))


def share_over(copied: Iterable[int], owed: int, declared: float, doubtful: int = 0) -> Watch:
    """A watch over windows of so many requests each."""
    numbers, watch = list(copied), Watch()
    for (start, end), number in zip(spans(len(numbers)), numbers, strict=True):
        watch = watch_share(watch, Copied(start, end, number, owed, doubtful), declared)
    return watch


def loss_over(windows: Iterable[tuple[int, int, int, int]], tolerance: float) -> Watch:
    """A watch over windows of (missing, owed, lost, control)."""
    numbers, watch = list(windows), Watch()
    for (start, end), counts in zip(spans(len(numbers)), numbers, strict=True):
        watch = watch_loss(watch, Lost(start, end, *counts), tolerance)
    return watch


def test_the_declared_share_is_never_decided_against() -> None:
    """Exactly as many copies as declared leave every track at its beginning."""
    decision = decide(share_over([500] * 2000, 1000, 0.5))

    assert not decision.decided
    assert decision.chance_a_year is not None
    assert decision.chance_a_year > 1000


@pytest.mark.parametrize(("declared", "copied"), [(0.5, 480), (0.5, 520), (0.1, 80), (0.99, 960)])
def test_a_slow_drift_is_found_that_no_window_shows(declared: float, copied: int) -> None:
    """After a long healthy time a small, lasting change decides, and its beginning is told."""
    healthy = round(1000 * declared)
    decision = decide(share_over([healthy] * 5000 + [copied] * 200, 1000, declared))

    assert decision.decided
    assert decision.since_us == 5000 * WINDOW_US
    assert decision.share == pytest.approx(copied / 1000)
    assert decision.low is not None
    assert decision.high is not None
    assert decision.low < copied / 1000 < decision.high


def test_a_drift_that_ends_is_over_when_as_much_speaks_against_it() -> None:
    """A decision stays for a while after the share is right again, and then goes."""
    drift = [500] * 10 + [400] * 50

    assert decide(share_over([*drift, 500], 1000, 0.5)).decided
    assert not decide(share_over(drift + [500] * 3, 1000, 0.5)).decided


def test_doubtful_requests_count_for_the_declared_share() -> None:
    """A share that the doubtful requests can explain is no drift; one beyond them is."""
    assert not decide(share_over([400] * 500, 900, 0.5, doubtful=100)).decided
    assert not decide(share_over([500] * 500, 900, 0.5, doubtful=100)).decided
    assert decide(share_over([380] * 500, 900, 0.5, doubtful=100)).decided
    assert decide(share_over([520] * 500, 900, 0.5, doubtful=100)).decided


def test_no_copies_at_all_decide_within_few_requests() -> None:
    """A tenth that became nothing needs a few hundred requests."""
    assert not decide(share_over([0], 100, 0.1)).decided
    assert decide(share_over([0] * 3, 100, 0.1)).decided


def test_windows_without_requests_say_nothing() -> None:
    """Idle nights neither help nor hurt."""
    watch = share_over([0] * 100, 0, 0.5)

    assert not decide(watch).decided
    assert decide(watch).share is None


def test_the_state_is_small_and_survives_storage() -> None:
    """A watch is the same after it was stored as JSON, and no larger after many windows."""
    watch = share_over([480, 530] * 500, 1000, 0.5)
    stored = msgspec.json.encode(watch)

    assert msgspec.json.decode(stored, type=Watch) == watch
    assert len(stored) < 2000
    assert msgspec.json.decode(msgspec.json.encode(Watch()), type=Watch) == Watch()


def test_one_missing_copy_decides_where_nothing_is_accepted() -> None:
    """Without tolerance and without a control group a loss needs no statistics."""
    assert decide(loss_over([(0, 100, 0, 0)] * 3 + [(1, 100, 0, 0)], 0.0)).decided
    assert not decide(loss_over([(0, 100, 0, 0)] * 100, 0.0)).decided


def test_a_loss_below_the_tolerance_is_accepted_for_ever() -> None:
    """What the tolerance allows never decides, what is steadily above it does."""
    assert not decide(loss_over([(1, 1000, 0, 0)] * 3000, 0.002)).decided
    assert decide(loss_over([(4, 1000, 0, 0)] * 100, 0.002)).decided
    assert not decide(loss_over([(1, 1000, 0, 1000)] * 3000, 0.002)).decided
    assert decide(loss_over([(4, 1000, 0, 1000)] * 200, 0.002)).decided


def test_log_loss_that_the_control_group_shows_is_no_loss() -> None:
    """As many lost lines in both groups are shipping's; more missing copies are the mirror's."""
    assert not decide(loss_over([(5, 1000, 5, 1000)] * 3000, 0.0)).decided
    assert not decide(loss_over([(50, 1000, 5, 100)] * 3000, 0.0)).decided
    assert decide(loss_over([(8, 1000, 4, 1000)] * 300, 0.0)).decided


def test_a_loss_beside_a_control_group_is_over_some_time_after_it_ended() -> None:
    """Where neither group loses a line any more the decision fades."""
    lost = [(20, 1000, 0, 1000)] * 20

    assert decide(loss_over(lost, 0.0)).decided
    assert not decide(loss_over(lost + [(0, 1000, 0, 1000)] * 200, 0.0)).decided


@pytest.mark.parametrize("declared", [0.0, 1.0, 1.5])
def test_a_share_without_chance_is_refused(declared: float) -> None:
    """All or nothing is no question of statistics."""
    with pytest.raises(ValueError, match="nothing to chance"):
        watch_share(Watch(), Copied(0, WINDOW_US, 1, 1), declared)


@given(st.floats(0.01, 0.99), st.integers(1, 30), st.integers(0, 3))
def test_the_evidence_of_a_right_share_is_expected_to_be_one(
    declared: float, owed: int, doubtful: int
) -> None:
    """Over all outcomes of a window no track gains by chance: the promise that errors rest on."""
    entry = math.log(WINDOW_US / YEAR_US)
    expected = [0.0] * (2 * len(SHIFTS))
    for copied in range(owed + 1):
        chance = math.comb(owed, copied) * declared**copied * (1 - declared) ** (owed - copied)
        watch = watch_share(Watch(), Copied(0, WINDOW_US, copied, owed), declared, 1e-300)
        for index, track in enumerate(watch.tracks):
            expected[index] += chance * math.exp(track.evidence - entry)
        doubted = watch_share(
            Watch(), Copied(0, WINDOW_US, copied, owed, doubtful), declared, 1e-300
        )
        assert doubtful or doubted == watch

    assert expected == pytest.approx([1.0] * len(expected), rel=1e-6)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 0.5), st.sampled_from([0.0, 0.01, 0.2]))
def test_the_evidence_of_mere_log_loss_is_expected_to_be_at_most_one(
    owed: int, control: int, log_loss: float, tolerance: float
) -> None:
    """Whatever logs lose, and copies up to the tolerance besides, no track gains by chance."""
    entry = math.log(WINDOW_US / YEAR_US)
    lost = min(1.0, log_loss + tolerance)
    expected = [0.0] * len(SHIFTS)
    for missing in range(owed + 1):
        for gone in range(control + 1):
            chance = (
                math.comb(owed, missing) * lost**missing * (1 - lost) ** (owed - missing)
                * math.comb(control, gone) * log_loss**gone * (1 - log_loss) ** (control - gone)
            )  # fmt: skip
            window = Lost(0, WINDOW_US, missing, owed, gone, control)
            for index, track in enumerate(watch_loss(Watch(), window, tolerance, 1e-300).tracks):
                expected[index] += chance * math.exp(track.evidence - entry)

    assert max(expected) <= 1 + 1e-9


def test_few_of_many_healthy_years_alarm_at_the_stated_rate() -> None:
    """At a bound of one in five, fewer than that of a hundred short 'years' decide."""
    random = Random(7)
    windows, owed, declared = 200, 50, 0.3
    size = round(YEAR_US / windows)
    alarms = 0
    for _ in range(100):
        watch = Watch()
        for number in range(windows):
            copied = sum(random.random() < declared for _ in range(owed))
            window = Copied(number * size, (number + 1) * size, copied, owed)
            watch = watch_share(watch, window, declared, 0.2)
            if watch.decided_us is not None:
                alarms += 1
                break

    assert alarms <= 20


def test_a_track_is_stored_as_a_short_array() -> None:
    """What is written a thousand times carries no names."""
    assert msgspec.json.encode(Track(1.5, 2, 3, 4)) == b"[1.5,2,3,4]"
