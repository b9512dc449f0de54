"""What facts about an installation mean. Pure: numbers in, findings out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from verifier.doctor.finding import Finding, fail, ok, warn
from verifier.doctor.judge_kafka import Place
from verifier.doctor.words import DAY_S, HOUR_S, MOST_NAMES, duration

_CLOCK_S: Final = 2.0
"""Less than the shipping allowance, so that it makes no partition look late."""
_QUARANTINED: Final = 0.01


class Sides(msgspec.Struct, frozen=True):
    """What a policy's windows and pods of the last hours show.

    Attributes:
        policy: Its name.
        requests: Requests in its windows.
        from_senders: Requests that a sender's line tells of.
        primary_pods: Pods of the live destinations that received requests.
        mirror_pods: Pods of the mirrors that received requests.
        has_mirror: Whether the policy has one.
    """

    policy: str
    requests: int
    from_senders: int
    primary_pods: int
    mirror_pods: int
    has_mirror: bool = True


def stopped(places: Sequence[Place]) -> Finding:
    """Whether partitions wait for an operator."""
    found = [one for one in places if one.stopped]
    if not found:
        return ok("partitions", f"none of {len(places)} is stopped")
    seen = "; ".join(f"{one.name}: {one.stopped}" for one in found[:MOST_NAMES])
    do = "mend that, then mirrorproof quarantine resume TOPIC/PARTITION --from … --why …"
    return fail("partitions", f"{len(found)} stopped: {seen}", do)


def clock(ahead_s: float, evidence_s: float) -> Finding:
    """Whether the database's clock and ours agree.

    Args:
        ahead_s: So far the database's is ahead of ours.
        evidence_s: How old the brokers' word may be, by `verifier.evidence_max_age_s`.
    """
    seen = f"the database is {duration(abs(ahead_s))} {'ahead' if ahead_s > 0 else 'behind'}"
    do = "set the clocks of this machine and of the database's by NTP"
    if abs(ahead_s) >= evidence_s / 2:
        return fail("clock", f"{seen}: no evidence is fresh enough, nothing settles", do)
    if abs(ahead_s) >= _CLOCK_S:
        return warn("clock", seen, do)
    return ok("clock", f"{seen}, no more")


def own_retention(lines_days: float, unsettled_s: float, oldest_days: float | None) -> Finding:
    """Whether our lines are kept until they are settled, and dropped at all.

    Args:
        lines_days: By `retention.lines_days`; 0: for ever.
        unsettled_s: How old the oldest line is that is not settled.
        oldest_days: How old our oldest batch is, beyond the days that it is kept; None: none.
    """
    name = "our retention"
    seen = f"lines: {lines_days:g} d, verdicts are behind by {duration(unsettled_s)}"
    if lines_days and lines_days * DAY_S < 2 * unsettled_s + HOUR_S:
        return fail(name, seen, "raise retention.lines_days, or see why verdicts are late")
    if oldest_days is not None and oldest_days > 1:
        seen = f"rows are {oldest_days:.0f} d older than they should be"
        return warn(name, seen, "collectors drop them: run one, or mirrorproof maintain")
    return ok(name, seen)


def quarantined(lines: int, bad: int, waiting: int) -> Finding:
    """How many lines nobody could read.

    Args:
        lines: Read in the last day.
        bad: Of them, quarantined.
        waiting: Nobody read them again, counted up to a bound.
    """
    seen = f"{bad:,} of {lines:,} lines of the last day; {waiting:,} wait"
    do = "mirrorproof quarantine list tells the reasons"
    if lines and bad / lines > 0.5:
        return fail("quarantine", seen, do)
    if lines and bad / lines > _QUARANTINED:
        return warn("quarantine", seen, do)
    return ok("quarantine", seen)


def heartbeats(count: int, lines: int) -> Finding:
    """Whether nodes say that their logs arrive.

    Args:
        count: Heartbeats of the last hour.
        lines: Lines of the last hour.
    """
    if count:
        return ok("heartbeats", f"{count:,} in the last hour")
    seen = f"none in the last hour, among {lines:,} lines"
    do = "let each node send one a few seconds: without, silence of a mirror is unverifiable"
    return warn("heartbeats", seen, do)


def logs(sides: Sides) -> Finding:
    """Whether the logs of the senders, the primary and the mirror of a policy arrive."""
    name = f"logs of {sides.policy}"
    if not sides.has_mirror:
        return ok(name, "it has no mirror")
    parts = {
        "the primary": sides.primary_pods > 0,
        "the mirror": sides.mirror_pods > 0,
        "senders": sides.from_senders > 0,
    }
    seen = (
        f"{sides.requests:,} requests in the last hours, {sides.from_senders:,} with a sender's "
        f"line; pods of the primary: {sides.primary_pods}, of the mirror: {sides.mirror_pods}"
    )
    absent = [part for part, is_there in parts.items() if not is_there]
    if not sides.requests and len(absent) == len(parts):
        return warn(name, seen, "no traffic, or no logs of it: see hosts and shippers")
    if "the mirror" in absent:
        return fail(name, seen, "the mirror logs nothing: its pods, its access log, its shipper")
    if absent:
        do = f"ship the logs of {' and '.join(absent)}: without, less can be proven"
        return warn(name, seen, do)
    return ok(name, seen)


def marker(policy: str, told_by: str, changed: str) -> Finding:
    """By what copies of a policy are told from live requests.

    Args:
        policy: Its name.
        told_by: The mark; empty: not known yet.
        changed: When and from what it changed within the last week; empty: it did not.
    """
    name = f"mark of copies of {policy}"
    if not told_by:
        return ok(name, "not known yet: too few copies")
    if told_by == "policy":
        do = "log X-Forwarded-For: only the policy tells copies from leaks"
        return warn(name, "copies have no mark", do)
    if changed:
        do = "verdicts do not depend on it; look that an upgrade explains it"
        return warn(name, f"told by {told_by}; {changed}", do)
    return ok(name, f"told by {told_by}")


def disk(free: int, total: int, size: int) -> Finding:
    """Whether the disk of a database file suffices; all in bytes."""
    seen = f"{size / 1e9:.1f} GB of database, {free / 1e9:.1f} of {total / 1e9:.0f} GB are free"
    do = "make room, or keep less: retention.lines_days"
    if free < max(total * 0.02, 200e6):
        return fail("disk", seen, do)
    if free < max(total * 0.1, 1e9):
        return warn("disk", seen, do)
    return ok("disk", seen)
