"""Watches a share over windows without end, at a stated number of false alarms a year. Pure.

Testing every window on its own finds what one window shows. What is smaller and lasts is found by
adding windows up: for each of a few alternatives ("a twentieth less is copied than declared") a
track multiplies the likelihood ratios of the windows, and begins anew where a longer past speaks
against the alternative (Page's CUSUM), so that a change is seen as soon after a healthy year as
after a healthy hour.

The error: each window enters with the part of a year that it lasts, as its evidence at a restart.
Then a track is, as long as the null hypothesis holds, at most a process whose mean is the years
that went by, so that within a year it reaches 1 / α with a probability of at most α, whatever the
traffic, the size of windows and the moments at which one looks (Ville's inequality; Shin, Ramdas
and Rinaldo, "E-detectors", 2022). α is shared out evenly to the tracks of a watch.

What is decided stays decided until the alternative's evidence is gone entirely: the opposite takes
as much evidence. Draws are taken as independent, as Envoy's are; losses that come in blocks are
found sooner, and a block alone may be above a tolerance that a day's mean keeps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from verifier.pairing.percentage import wilson_interval

FALSE_ALARMS_A_YEAR: Final = 0.01
"""How often a year a watch may decide against a share that is right, at most."""

YEAR_US: Final = 365.25 * 24 * 3600 * 1_000_000

SHIFTS: Final = tuple(0.01 * 2**step for step in range(10))
"""By how much the alternatives differ in log odds. Between two of them at most a ninth of the speed
is lost."""

_NOTHING: Final = -700.0  # a logarithm that stands for no evidence; JSON has no infinity
_FLOOR: Final = 1e-4
_FROM_NONE: Final = tuple((math.inf, math.log1p(-shift / 10)) for shift in SHIFTS)


class Copied(msgspec.Struct, frozen=True):
    """A window of a sampled policy. Times in µs.

    Attributes:
        start_us: Its start.
        end_us: Its end.
        copied: Requests whose copy arrived.
        owed: Requests that could have been copied, those among them.
        doubtful: Further requests, of which any may have been copied.
    """

    start_us: int
    end_us: int
    copied: int
    owed: int
    doubtful: int = 0


class Lost(msgspec.Struct, frozen=True):
    """A window of which every request owes a copy. Times in µs.

    Attributes:
        start_us: Its start.
        end_us: Its end.
        missing: Requests whose copy did not arrive; log loss is not taken off.
        owed: Requests that owed one, those among them.
        control_lost: Lines of the control group that were lost.
        control: The control group: lines that must be there. 0: nothing is known of log loss,
            and it is taken for none.
    """

    start_us: int
    end_us: int
    missing: int
    owed: int
    control_lost: int = 0
    control: int = 0


class Track(msgspec.Struct, frozen=True, array_like=True):
    """What speaks for one alternative.

    Attributes:
        evidence: Its logarithm.
        since_us: Start of the first window in it: when the change began, if there is one.
        events: Copied or missing requests since then.
        trials: Requests since then.
    """

    evidence: float = _NOTHING
    since_us: int = 0
    events: int = 0
    trials: int = 0


class Watch(msgspec.Struct, frozen=True):
    """All that is remembered of the windows so far; small whatever their number.

    Attributes:
        tracks: One for each alternative; none before the first window.
        decided_us: End of the window that decided; None: nothing speaks against the share enough.
        leader: The alternative that did.
    """

    tracks: tuple[Track, ...] = ()
    decided_us: int | None = None
    leader: int = 0


class Decision(msgspec.Struct, frozen=True):
    """What the windows so far amount to.

    Attributes:
        decided: The share is not what it should be.
        decided_us: End of the window that decided.
        since_us: When that began, as far as can be told: start of a window; None: nothing began.
        chance_a_year: How often a year chance alone would bring as much evidence, at most; None:
            there is no window yet.
        events: Copied (missing) requests since then.
        trials: Requests since then.
        share: Their ratio, 0 to 1; None: no request.
        low: Its 95 % interval.
        high: Its other end.
    """

    decided: bool = False
    decided_us: int | None = None
    since_us: int | None = None
    chance_a_year: float | None = None
    events: int = 0
    trials: int = 0
    share: float | None = None
    low: float | None = None
    high: float | None = None


def watch_share(
    before: Watch, window: Copied, declared: float, alarms_a_year: float = FALSE_ALARMS_A_YEAR
) -> Watch:
    """Adds a window to the watch over a declared share of copies, two-sided.

    Args:
        before: The watch so far; one of another declared share must not be taken on.
        window: The next one in time.
        declared: Share from 0 to 1. At 0 and 1 nothing is left to chance: see `watch_loss`.
        alarms_a_year: α.

    Raises:
        ValueError: `declared` is 0 or 1, or beyond.
    """
    if not 0 < declared < 1:
        msg = f"a declared share of {declared} leaves nothing to chance"
        raise ValueError(msg)
    gains = [
        # Whichever way the doubtful ones went, the evidence is at least this.
        up * (window.copied if up > 0 else window.copied + window.doubtful)
        + down * (window.owed - window.copied + (window.doubtful if up > 0 else 0))
        for up, down in _alternatives(declared)
    ]
    span = (window.start_us, window.end_us)
    return _step(before, span, gains, (window.copied, window.owed), alarms_a_year)


def watch_loss(
    before: Watch, window: Lost, tolerance: float, alarms_a_year: float = FALSE_ALARMS_A_YEAR
) -> Watch:
    """Adds a window to the watch over losses above the tolerance and above log loss, one-sided.

    Log loss need not be known: only what the control group does not show as well counts. Without a
    control group and without tolerance, one missing copy decides.

    Args:
        before: The watch so far; one of another tolerance must not be taken on.
        window: The next one in time.
        tolerance: Accepted share of missing copies, from 0 up to, and without, 1.
        alarms_a_year: α.
    """
    gains = [0.0] * len(SHIFTS)
    if window.owed and window.control:
        # Of the lost of both groups, so many are missing copies if only logs lose lines.
        expected = window.owed / (window.owed + window.control)
        gains = [
            _gain_beside_control(window, max(tolerance, _FLOOR * shift), *ratio)
            for shift, ratio in zip(SHIFTS, _alternatives(expected), strict=False)
        ]
    elif window.owed:
        kept = window.owed - window.missing
        alternatives = _alternatives(tolerance)[: len(SHIFTS)] if tolerance else _FROM_NONE
        gains = [
            (up * window.missing if window.missing else 0.0) + down * kept
            for up, down in alternatives
        ]
    span = (window.start_us, window.end_us)
    return _step(before, span, gains, (window.missing, window.owed), alarms_a_year)


def _gain_beside_control(window: Lost, tolerance: float, up: float, down: float) -> float:
    """What a window with a control group says for an alternative.

    With a ratio of exp(up) for each missing copy and exp(down) for each lost control line the
    expectation does not depend on log loss, as 1 + x <= exp(x); the last term pays for what the
    tolerance adds. Its floor lets evidence fade where neither group loses anything.
    """
    paid = window.owed * tolerance * math.expm1(up)
    return up * window.missing + down * window.control_lost - paid


@lru_cache(maxsize=64)
def _alternatives(share: float) -> tuple[tuple[float, float], ...]:
    """Log likelihood ratios of an event and of none, for more events and then for fewer."""
    odds = share / (1 - share)
    found = []
    for shift in (*SHIFTS, *(-shift for shift in SHIFTS)):
        none = -math.log1p(odds * math.exp(shift)) - math.log1p(-share)
        found.append((none + shift, none))
    return tuple(found)


def _step(
    before: Watch,
    span: tuple[int, int],
    gains: Sequence[float],
    counts: tuple[int, int],
    alarms_a_year: float,
) -> Watch:
    """Adds a window's evidence to every track, and decides."""
    start_us, end_us = span
    entry = math.log((end_us - start_us) / YEAR_US)
    limit = math.log(len(gains) / alarms_a_year)
    tracks, reached = [], []
    for track, gain in zip(before.tracks or [Track()] * len(gains), gains, strict=True):
        begins = track.evidence <= entry
        total = (entry if begins else track.evidence) + gain
        reached.append(total)
        tracks.append(
            Track(
                max(_NOTHING, min(total, limit)),  # more than enough would take longer to go
                start_us if begins else track.since_us,
                counts[0] + (0 if begins else track.events),
                counts[1] + (0 if begins else track.trials),
            )
        )
    if before.decided_us is not None:
        if tracks[before.leader].evidence <= entry:
            return Watch()
        return Watch(tuple(tracks), before.decided_us, before.leader)
    leader = max(range(len(reached)), key=reached.__getitem__)
    decided = reached[leader] >= limit
    return Watch(tuple(tracks), end_us if decided else None, leader)


def decide(watch: Watch) -> Decision:
    """What a watch amounts to."""
    if not watch.tracks:
        return Decision()
    track = watch.tracks[watch.leader]
    low, high = wilson_interval(track.events, track.trials) if track.trials else (None, None)
    return Decision(
        decided=watch.decided_us is not None,
        decided_us=watch.decided_us,
        since_us=track.since_us,
        chance_a_year=len(watch.tracks) * math.exp(-track.evidence),
        events=track.events,
        trials=track.trials,
        share=track.events / track.trials if track.trials else None,
        low=low,
        high=high,
    )
