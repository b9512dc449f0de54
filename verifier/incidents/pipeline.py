"""What is wrong with the pipeline itself, by the database's clock. Reads only.

These conditions hold or do not, whether or not anything is settled: that nothing is settled is
what most of them are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, select

from collector.db.acknowledged import DEAD_US
from collector.db.tables import STOPPED, batch, instance, policy_version, position, quarantine
from collector.words import first_of
from verifier.incidents.conditions import Condition
from verifier.incidents.event import Kind
from verifier.incidents.rules import TellRules
from verifier.incidents.scores import Sample
from verifier.settle.late import portions
from verifier.settle.report import FILE_PREFIX
from verifier.settle.watermark import FOREVER_US, Watermark

GAPS_US: Final = 3_600_000_000
"""A gap is told for so long after it was made."""

_SEEN_US: Final = 30_000_000
"""After a quiet hour the next record seems not to be read for an hour, until it is: a moment later,
or when a collector that just began gets to it."""

_TICK_US: Final = 250_000
"""What a tick counts for, in a year of them: they come no faster."""


class Trouble(msgspec.Struct, frozen=True):
    """A condition that holds, and what it is about, in words.

    Attributes:
        condition: It.
        detail: The words.
        for_us: So long it must be seen before it is told, whatever the kind's rule says.
    """

    condition: Condition
    detail: str
    for_us: int = 0


def troubles(
    connection: Connection, watermark: Watermark, rules: TellRules, now_us: int
) -> dict[Kind, Trouble]:
    """The kinds of the pipeline that hold now.

    Args:
        connection: The settling transaction.
        watermark: Up to when event time is complete.
        rules: What is tolerated.
        now_us: The database's clock.
    """
    places = connection.execute(
        select(position).where(~position.c.topic.startswith(FILE_PREFIX))
    ).all()
    found = {
        Kind.STALLED: _stalled(connection, places, rules, now_us),
        Kind.GAP: _gaps(connection, now_us),
        Kind.NO_COLLECTOR: _no_collector(connection, places, rules, now_us),
        Kind.UNACKNOWLEDGED: _unacknowledged(connection, rules, now_us),
    }
    if found[Kind.STALLED] is None and found[Kind.NO_COLLECTOR] is None and places:
        found[Kind.WATERMARK_LAG] = _lag(watermark, rules, now_us)
    return {kind: one for kind, one in found.items() if one is not None}


def _stalled(
    connection: Connection, places: Sequence[Any], rules: TellRules, now_us: int
) -> Trouble | None:
    """Partitions that were stopped, or have records and were not read on."""
    names, since, is_stopped = [], [], False
    for one in places:
        name = f"{one.topic}/{one.partition}"
        if one.state == STOPPED:
            names.append(f"{name} is stopped: {one.reason}" if one.reason else f"{name} is stopped")
            since.append(one.updated_us)
            is_stopped = True
            continue
        behind = (one.end_offset or 0) - one.next_offset
        read_us = _last_read_us(connection, one) if behind > 0 else None
        if read_us is not None and now_us - read_us >= rules.stall_us:
            names.append(f"{name} is {behind:,} records behind and not read on")
            since.append(read_us)
    found = _trouble(len(names), min(since, default=now_us), names)
    if found is None or is_stopped:
        return found
    return msgspec.structs.replace(found, for_us=_SEEN_US)


def _last_read_us(connection: Connection, one: Any) -> int | None:
    """When a partition was read last; before its first batch, when it was claimed."""
    c = batch.c
    query = (
        select(c.committed_us)
        .where(c.topic == one.topic, c.partition == one.partition)
        .order_by(c.to_offset.desc())
        .limit(1)
    )
    found = connection.scalar(query)
    return int(one.updated_us if found is None else found)


def _gaps(connection: Connection, now_us: int) -> Trouble | None:
    c = quarantine.c
    row = connection.execute(
        select(func.sum(c.records), func.min(c.at_us), func.max(c.topic)).where(
            c.length == 0, c.replayed_us.is_(None), c.at_us > now_us - GAPS_US
        )
    ).one()
    if not row[0]:
        return None
    return _trouble(int(row[0]), row[1], [f"{int(row[0]):,} records, of topic {row[2]}"])


def _no_collector(
    connection: Connection, places: Sequence[Any], rules: TellRules, now_us: int
) -> Trouble | None:
    """Where collectors read from Kafka, one of them says every few seconds that it lives."""
    if not places:
        return None
    seen_us = connection.scalar(select(func.max(instance.c.seen_us)))
    last_us = max((one.updated_us for one in places), default=0) if seen_us is None else seen_us
    if now_us - last_us < rules.collector_away_us:
        return None
    away_s = (now_us - last_us) // 1_000_000
    return _trouble(1, last_us, [f"the last sign of life is {away_s:,} s old"])


def _unacknowledged(connection: Connection, rules: TellRules, now_us: int) -> Trouble | None:
    """Versions that a live collector does not watch, and which collector that is."""
    v, c = policy_version.c, instance.c
    waiting = connection.execute(
        select(v.id, v.name, v.recorded_us)
        .where(v.acknowledged_us.is_(None), v.recorded_us <= now_us - rules.acknowledge_us)
        .order_by(v.recorded_us)
    ).all()
    if not waiting:
        return None
    behind = connection.scalars(
        select(c.owner)
        .where(c.seen_us > now_us - DEAD_US, c.policy_version_id < max(row.id for row in waiting))
        .order_by(c.owner)
    ).all()
    owners = f" for {', '.join(behind[:3])}" if behind else ""
    names = [f"version {row.id} of {row.name}{owners}" for row in waiting]
    return _trouble(len(names), waiting[0].recorded_us, names)


def _lag(watermark: Watermark, rules: TellRules, now_us: int) -> Trouble | None:
    time_us = watermark.time_us
    if time_us is None or time_us >= FOREVER_US or now_us - time_us < rules.lag_us:
        return None
    late_s = (now_us - time_us) // 1_000_000
    return _trouble(late_s, time_us, [f"{late_s:,} s behind, held by {watermark.held_by}"])


def _trouble(size: int, first_us: int, names: Sequence[str]) -> Trouble | None:
    if not names:
        return None
    return Trouble(Condition(size, first_us), first_of(names, 3, "; "))


def unreadable(
    connection: Connection, batches: Iterable[int], share: float, now_us: int
) -> Sample | None:
    """How many lines of new batches went to quarantine; None: there is no line.

    Records that were passed over are none of them: they are gaps.

    Args:
        connection: The settling transaction.
        batches: Numbers of the batches that this tick found.
        share: Of quarantined lines that is tolerated.
        now_us: The database's clock.
    """
    read = bad = 0
    c = batch.c
    for some in portions(list(batches)):
        query = select(func.sum(c.read), func.sum(c.quarantined)).where(c.id.in_(some))
        row = connection.execute(query).one()
        read, bad = read + int(row[0] or 0), bad + int(row[1] or 0)
        if bad:
            committed = select(c.committed_us).where(c.id.in_(some), c.quarantined > 0)
            q = quarantine.c
            gaps = connection.scalar(
                select(func.sum(q.records)).where(q.length == 0, q.at_us.in_(committed))
            )
            read, bad = read - int(gaps or 0), bad - int(gaps or 0)
    if read <= 0:
        return None
    return Sample(
        start_us=now_us - _TICK_US, end_us=now_us, bad=max(0, bad), total=read, share=share
    )
