"""What the brokers' answers mean. Pure: numbers in, findings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from verifier.doctor.finding import Finding, fail, ok, warn
from verifier.doctor.words import DAY_S, HOUR_S, duration, names
from verifier.sample.look import Look

_LATE_S: Final = 300.0
"""As `incidents.watermark_lag_s` by default: beyond it verdicts are late."""
_AHEAD_S: Final = 5.0


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a partition is read, by the database. Times in µs since the epoch.

    Attributes:
        name: `topic/3`.
        next_offset: Where reading goes on.
        owner: Who reads it; None: nobody.
        stopped: Why it is not read any more; empty: it is.
        watermark_us: Largest end time that was read; None: none yet.
    """

    name: str
    next_offset: int
    owner: str | None = None
    stopped: str = ""
    watermark_us: int | None = None


def partitions(topic: str, ends: Mapping[str, int]) -> Finding:
    """Whether a topic is there and has records.

    Args:
        topic: Its name.
        ends: End offsets by partition, as brokers tell them.
    """
    name = f"topic {topic}"
    if not ends:
        return fail(name, "it does not exist", "create it, or mend kafka.topics")
    seen = f"{len(ends)} partitions, {sum(ends.values()):,} records ever"
    if not any(ends.values()):
        return warn(name, seen, "nothing was ever sent: look at the shippers")
    return ok(name, seen)


def lag(places: Sequence[Place], ends: Mapping[str, int], now_us: int) -> Finding:
    """How far reading is behind.

    Args:
        places: By the database.
        ends: End offsets by `topic/3`, as brokers tell them.
        now_us: Our clock.
    """
    known = {one.name: one for one in places}
    never = sorted(one for one, end in ends.items() if one not in known and end)
    if never:
        seen = f"{len(never)} of {len(ends)} partitions were never read: {names(never)}"
        return fail("lag", seen, "start a collector, or mend kafka.partitions")
    behind = {one: ends[one] - known[one].next_offset for one in ends if one in known}
    late = {
        one: (now_us - (known[one].watermark_us or 0)) / 1e6 if known[one].watermark_us else 0.0
        for one, records in behind.items()
        if records > 0
    }
    beyond = sorted(one for one, records in behind.items() if records < 0)
    if beyond:
        do = "the topic was truncated or created again: mirrorproof quarantine resume"
        return fail("lag", f"read beyond the end: {names(beyond)}", do)
    worst_s = max(late.values(), default=0.0)
    seen = f"{sum(behind.values()):,} records behind, {duration(worst_s)}"
    unowned = sorted(one for one in late if known[one].owner is None and not known[one].stopped)
    if unowned and worst_s >= _LATE_S:
        return fail("lag", f"{seen}; nobody reads {names(unowned)}", "start a collector")
    if worst_s >= _LATE_S:
        return warn("lag", seen, "add collectors, up to one a partition, if it does not shrink")
    return ok("lag", seen)


def record_times(newest_us: int | None, now_us: int) -> Finding:
    """Whether Kafka's times are of our time: the broker's clock, or the shippers'.

    Args:
        newest_us: The latest time among the last records; None: there is none.
        now_us: Our clock.
    """
    if newest_us is None:
        return warn("record times", "the last records have no time", "let the topic have them")
    ahead_s = (newest_us - now_us) / 1e6
    if ahead_s > _AHEAD_S:
        seen = f"the newest record is {duration(ahead_s)} in the future"
        return fail("record times", seen, "set the clocks of the brokers or shippers by NTP")
    if -ahead_s > HOUR_S:
        seen = f"the newest record is {duration(-ahead_s)} old"
        return warn("record times", seen, "nothing comes: look at the shippers, send heartbeats")
    return ok("record times", f"the newest record is {duration(max(0.0, -ahead_s))} old")


def log_format(found: Look) -> Finding:
    """Whether the last records can be verified, and what they lack."""
    kinds = [f"{one.count} {one.what}: {one.format}, {one.shape}" for one in found.kinds[:3]]
    seen = f"{found.lines} records: {'; '.join(kinds)}"
    if not found.lines:
        return warn("log format", "there is no record to look at", "send access logs")
    lacking = [need for needs in found.lacking.values() for need in needs]
    short = "mirrorproof format has it all, and what to log instead"
    if not found.total("access log", "ambiguous"):
        return fail("log format", seen, f"no record is an access log that we know; {short}")
    if not found.usable:
        why = next((one.cost for one in lacking if one.severity == "error"), "most lines are bad")
        return fail("log format", f"{seen}; {why}", short)
    costly = sorted({one.operator for one in lacking if one.severity == "warning"})
    if costly:
        return warn("log format", f"{seen}; lacks {names(costly)}", short)
    if found.total("ambiguous"):
        seen += f"; {found.total('ambiguous')} can be read in several ways"
        return warn("log format", seen, "log JSON: clients can write quotes into text")
    unnamed = sum(one.unnamed for one in found.kinds if one.what == "access log")
    if unnamed:
        do = "let the shipper add pod, namespace, node and labels"
        return warn("log format", f"{seen}; {unnamed} lines name no pod", do)
    return ok("log format", seen)


def kept(topic: str, retention_s: float | None, held_s: float | None, late_s: float) -> Finding:
    """Whether a topic keeps records long enough for what may happen.

    Args:
        topic: Its name.
        retention_s: By its configuration; None: not known; below zero: for ever.
        held_s: How old its oldest records are where old ones were dropped; None: none were.
        late_s: How far reading is behind.
    """
    name = f"retention of {topic}"
    if retention_s is not None and retention_s < 0:
        retention_s = None
    given = [one for one in (retention_s, held_s) if one is not None]
    if not given:
        return ok(name, "no limit is known, and nothing was dropped so far")
    least_s = min(given)
    seen = f"{duration(least_s)}, by {'its configuration' if least_s == retention_s else 'size'}"
    do = "raise retention.ms and retention.bytes of the topic: a day at least"
    if least_s < max(HOUR_S, 2 * late_s):
        return fail(name, f"{seen}; reading is {duration(late_s)} behind", do)
    if least_s < DAY_S:
        return warn(name, f"{seen}: a longer outage of ours loses lines", do)
    return ok(name, seen)
