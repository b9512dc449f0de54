"""Whether something is to be told: a function of what is remembered, counts and time. Pure.

For shares of windows; `verifier.incidents.conditions` is for what holds or does not. Both return
the new state and why to tell it, or None. An incident that ended is returned once, with
`resolved_us`; whoever stores it forgets it then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from verifier.incidents.drift import Calm, Drift, Ended, Now, Open, Told
from verifier.incidents.event import NotifyReason, Severity
from verifier.incidents.kinds import KindRule
from verifier.incidents.scores import Sample, gain, watched
from verifier.statistics.sequential import Watch
from verifier.statistics.sequential import decide as decided

CALM_HURDLE: Final = 9.2
"""At most once in e^9.2 = 10,000 windows an incident that goes on is taken for over."""
LEFT_HURDLE: Final = 5.0
"""What is left of an incident after corrections is nothing below this evidence."""
_RISES: Final = (2.0, 8.0, 64.0, 1_000.0)
_SHIFTS: Final = (0.2, 0.5, 0.8, 1.25, 2.0, 5.0)
"""Odds of a drift against the tolerated ones, for that."""
_NEAREST: Final = (0.8, 1.25)
"""Odds nearer to the tolerated ones cannot be told from them in time: being calm is judged as if
the drift had been at least that large."""
GREW_FACTOR: Final = 3.0
"""So many times the share that was told is news."""
GREW_MIN: Final = 20
"""At least so many must have drifted, or their share is chance."""
GREW_WAIT_US: Final = 300_000_000
"""So long a notification holds, whatever happens; but not for a rise to critical."""
_RANK: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class Corrected(msgspec.Struct, frozen=True):
    """A window that counts already, as it was and as it is."""

    old: Sample
    new: Sample


def decide(
    drift: Drift,
    windows: Sequence[Sample],
    corrections: Sequence[Corrected],
    now: Now,
    rule: KindRule,
    *,
    silenced: bool = False,
) -> tuple[Drift, NotifyReason | None]:
    """Judges a share.

    Args:
        drift: What is remembered.
        windows: Those that count from now on, in order of time.
        corrections: What late lines changed of windows that count already.
        now: What time it is.
        rule: What is tolerated, and how long.
        silenced: Whether a silence covers it: it is followed, and not told.
    """
    if not rule.enabled:
        return stopped(drift, now)
    for one in windows:
        if drift.open is None:
            drift = _watched(drift, one, rule)
        else:
            drift = msgspec.structs.replace(drift, open=_counted(drift.open, one, rule))
    for two in corrections:
        if drift.open is None:
            drift = _taken_back(drift, two, rule)
        else:
            drift = msgspec.structs.replace(drift, open=_corrected(drift.open, two))
    if drift.open is None:
        drift = _opened(drift, now, rule)
    elif corrections and _is_refuted(drift.open, corrections[-1].new):
        return resolved(drift, now, Ended.REFUTED)
    elif _is_calm(drift.open, now, rule):
        return resolved(drift, now, Ended.OVER)
    return _told(drift, now, rule, silenced=silenced)


# --- before it opens


def _watched(drift: Drift, sample: Sample, rule: KindRule) -> Drift:
    quiet = not drift.watch.tracks and not sample.both_ways and not sample.bad
    if quiet:
        return drift
    # A watch is about one share: another one begins anew.
    watch = drift.watch if drift.share == sample.share else Watch()
    watch = watched(watch, sample, rule.alarms_a_year)
    return Drift(watch=watch, share=sample.share) if watch.tracks else Drift()


def _opened(drift: Drift, now: Now, rule: KindRule) -> Drift:
    """The same, with an incident when what windows say has lasted."""
    found = _noticed(drift, now.wall_us, rule)
    if found is None or now.event_us - found.last_us < rule.for_us:
        return drift
    return Drift(open=found, share=drift.share)


def _noticed(drift: Drift, opened_us: int, rule: KindRule) -> Open | None:
    """What windows say so far, as an incident; None: not enough for one."""
    found = decided(drift.watch)
    if not found.decided or found.decided_us is None or found.since_us is None:
        return None
    return Open(
        opened_us=opened_us,
        severity=_severity(rule, found.events / max(1, found.trials)),
        first_us=found.since_us,
        last_us=found.decided_us,
        bad=found.events,
        total=found.trials,
        recent_bad=found.events,
        recent_total=found.trials,
    )


def _taken_back(drift: Drift, one: Corrected, rule: KindRule) -> Drift:
    """Rule: what a correction refutes before it has lasted long enough is never told.

    What is left then is judged as that of an open incident.
    """
    found = _noticed(drift, 0, rule)
    if found is None:
        return drift
    left = _corrected(found, one)
    if _is_refuted(left, one.new):
        return Drift()
    watch = drift.watch
    tracks = list(watch.tracks)
    tracks[watch.leader] = msgspec.structs.replace(
        tracks[watch.leader], events=left.bad, trials=left.total
    )
    return msgspec.structs.replace(
        drift, watch=msgspec.structs.replace(watch, tracks=tuple(tracks))
    )


# --- while it is open


def _counted(known: Open, new: Sample, rule: KindRule) -> Open:
    """The incident after one more window."""
    drifts = new.bad > 0 if not new.both_ways else new.bad != round(new.total * new.share)
    counted = msgspec.structs.replace(
        known,
        last_us=max(known.last_us, new.end_us) if drifts else known.last_us,
        bad=known.bad + new.bad,
        total=known.total + new.total,
        lost=known.lost + new.lost,
        control=known.control + new.control,
        **_recent(known, new),
    )
    if not new.total:
        return counted
    calm, severity = _calmer(counted, new), _worst(rule, counted)
    return msgspec.structs.replace(counted, calm=calm, severity=severity)


def _recent(known: Open, new: Sample) -> dict[str, float]:
    """The latest share: of this window, or of windows that are forgotten by and by."""
    if new.bad >= GREW_MIN:
        return {"recent_bad": new.bad, "recent_total": new.total}
    bad, total = known.recent_bad + new.bad, known.recent_total + new.total
    fades = 0.5 if bad >= 2 * GREW_MIN else 1.0
    return {"recent_bad": bad * fades, "recent_total": total * fades}


def _corrected(known: Open, one: Corrected) -> Open:
    """The incident after late lines changed a window that it counts."""
    old, new = one.old, one.new
    if new.start_us < known.first_us:
        return known
    return msgspec.structs.replace(
        known,
        bad=max(0, known.bad + new.bad - old.bad),
        total=max(0, known.total + new.total - old.total),
        lost=max(0, known.lost + new.lost - old.lost),
        control=max(0, known.control + new.control - old.control),
    )


def _calmer(known: Open, new: Sample) -> Calm:
    """How strongly windows speak for tolerated traffic, against what the incident is made of."""
    tolerated = max(new.share, min(0.5, known.lost / max(1, known.control)))
    drifting_bad = known.bad - known.calm.bad - new.bad
    drifting_total = max(1, known.total - known.calm.total - new.total)
    share = min(0.9999, max(0.000_001, drifting_bad / drifting_total))
    odds = share / (1 - share) / (tolerated / (1 - tolerated))
    low, high = _NEAREST
    odds = max(odds, high) if not new.both_ways or odds >= 1 else min(odds, low)
    score = known.calm.score - gain(new.bad, new.total, tolerated, odds)
    if score <= 0:
        return Calm()
    first_us = known.calm.first_us if known.calm.score > 0 else new.start_us
    return Calm(score, first_us, known.calm.bad + new.bad, known.calm.total + new.total)


def _is_calm(known: Open, now: Now, rule: KindRule) -> bool:
    lasts = now.event_us - known.calm.first_us >= rule.clear_us
    return known.calm.score >= CALM_HURDLE and lasts


def _is_refuted(known: Open, latest: Sample) -> bool:
    """Whether what is left of an incident after a correction would not have been noticed."""
    all_odds = _SHIFTS if latest.both_ways else _RISES
    left = [gain(known.bad, known.total, latest.share, odds) for odds in all_odds]
    return max(left) < LEFT_HURDLE


def _severity(rule: KindRule, share: float) -> Severity:
    critical = rule.critical_share is not None and share >= rule.critical_share
    return Severity.CRITICAL if critical else rule.severity


def _worst(rule: KindRule, known: Open) -> Severity:
    """It rises with the latest share, and never falls while open."""
    if known.recent_bad < GREW_MIN:
        return known.severity
    found = _severity(rule, recent_share(known))
    return max(known.severity, found, key=lambda one: _RANK[one])


# --- telling


def _told(
    drift: Drift, now: Now, rule: KindRule, *, silenced: bool
) -> tuple[Drift, NotifyReason | None]:
    known = drift.open
    reason = None if known is None or silenced else _news(known, now, rule)
    if known is None or reason is None:
        return drift, None
    told = Told(at_us=now.wall_us, severity=known.severity, size=recent_share(known))
    after = msgspec.structs.replace(known, told=told, sequence=known.sequence + 1)
    return msgspec.structs.replace(drift, open=after), reason


def recent_share(known: Open) -> float:
    """The share that drifts, lately."""
    return known.recent_bad / max(1.0, known.recent_total)


def _news(known: Open, now: Now, rule: KindRule) -> NotifyReason | None:
    told = known.told
    if told is None:
        return NotifyReason.FIRST
    if _RANK[known.severity] > _RANK[told.severity]:
        return NotifyReason.GREW
    age_us = now.wall_us - told.at_us
    enough = known.recent_bad >= GREW_MIN
    grew = enough and recent_share(known) >= GREW_FACTOR * told.size
    if grew and age_us >= GREW_WAIT_US:
        return NotifyReason.GREW
    if rule.repeat_us and age_us >= rule.repeat_us:
        return NotifyReason.STILL_THERE
    return None


def resolved(drift: Drift, now: Now, ended: Ended) -> tuple[Drift, NotifyReason | None]:
    """The end of an incident: what was told is taken back, also within a silence."""
    known = drift.open
    if known is None:
        return Drift(), None
    told = known.told is not None
    over = msgspec.structs.replace(
        known, resolved_us=now.wall_us, ended=ended, sequence=known.sequence + told
    )
    return Drift(open=over), NotifyReason.RESOLVED if told else None


def stopped(drift: Drift, now: Now) -> tuple[Drift, NotifyReason | None]:
    """The end of an incident that nobody asks for any more."""
    return resolved(drift, now, Ended.DISABLED)
