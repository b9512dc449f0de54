"""Whether something is to be told of what holds or does not: a stalled partition, a lint. Pure.

By wall time, as such things show when nothing is settled.
"""

from __future__ import annotations

import msgspec

from verifier.incidents.decide import GREW_FACTOR, GREW_WAIT_US, resolved, stopped
from verifier.incidents.drift import Drift, Ended, Now, Open, Told
from verifier.incidents.event import NotifyReason
from verifier.incidents.kinds import KindRule


class Condition(msgspec.Struct, frozen=True):
    """Something that holds now, and how large it is: seconds, records, partitions, lints."""

    size: int
    first_us: int
    """Since when it is so, µs, as far as anybody knows."""


def decide_condition(
    drift: Drift, holds: Condition | None, now: Now, rule: KindRule, *, silenced: bool = False
) -> tuple[Drift, NotifyReason | None]:
    """Judges what holds or does not, by wall time.

    Args:
        drift: What is remembered.
        holds: None: it does not.
        now: What time it is.
        rule: How long it must hold, and be over.
        silenced: Whether a silence covers it.
    """
    if not rule.enabled:
        return stopped(drift, now)
    if holds is None:
        return _not_holding(drift, now, rule)
    since_us = now.wall_us if drift.since_us is None else drift.since_us
    drift = msgspec.structs.replace(drift, since_us=since_us, clear_us=None)
    known = drift.open
    if known is None and now.wall_us - since_us < rule.for_us:
        return drift, None
    if known is None:
        known = Open(
            opened_us=now.wall_us, severity=rule.severity, first_us=holds.first_us,
            last_us=now.wall_us, bad=holds.size, total=0,
        )  # fmt: skip
    known = msgspec.structs.replace(known, last_us=now.wall_us, bad=max(known.bad, holds.size))
    drift = msgspec.structs.replace(drift, open=known)
    reason = None if silenced else _condition_news(known, holds, now, rule)
    if reason is None:
        return drift, None
    told = Told(at_us=now.wall_us, severity=known.severity, size=holds.size)
    known = msgspec.structs.replace(known, told=told, sequence=known.sequence + 1)
    return msgspec.structs.replace(drift, open=known), reason


def _condition_news(known: Open, holds: Condition, now: Now, rule: KindRule) -> NotifyReason | None:
    if known.told is None:
        return NotifyReason.FIRST
    age_us = now.wall_us - known.told.at_us
    if holds.size >= GREW_FACTOR * known.told.size and age_us >= GREW_WAIT_US:
        return NotifyReason.GREW
    if rule.repeat_us and age_us >= rule.repeat_us:
        return NotifyReason.STILL_THERE
    return None


def _not_holding(drift: Drift, now: Now, rule: KindRule) -> tuple[Drift, NotifyReason | None]:
    if drift.open is None:
        return Drift(), None
    clear_us = now.wall_us if drift.clear_us is None else drift.clear_us
    if now.wall_us - clear_us >= rule.clear_us:
        return resolved(drift, now, Ended.OVER)
    return msgspec.structs.replace(drift, clear_us=clear_us), None
