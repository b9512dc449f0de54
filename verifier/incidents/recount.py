"""Counts windows again that late lines filled or changed after they counted.

Lines of minutes may come late together: their windows were passed over as empty, or had doubts
that are missing copies now. They count as others do, `confirm_us` after they are settled, so that
lines that come one after the other are no drift in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from verifier.incidents.event import Kind
from verifier.incidents.kinds import KindRule
from verifier.incidents.samples import WindowCounts, samples
from verifier.incidents.scores import Sample
from verifier.incidents.tables import incident_recount
from verifier.incidents.windows import AT_ONCE, window_at
from verifier.settle.record import Settled

Recount = tuple[WindowCounts | None, WindowCounts]
"""A window as it counts, None: it never did; and as it is."""
_NOTHING: Final[Mapping[Kind, Sample]] = {}


def note(connection: Connection, settled: Iterable[Settled], before_us: int, due_us: int) -> None:
    """Notes what a tick wrote of windows behind the cursor.

    Args:
        connection: The settling transaction.
        settled: What the tick wrote of one policy.
        before_us: Windows before it are counted.
        due_us: When they count again, by the database's clock.
    """
    rows = [
        {
            "policy": one.policy,
            "start_us": one.window.start_us,
            "counted": one.revision - 1,
            "due_us": due_us,
        }
        for one in settled
        if one.window.end_us <= before_us
    ]
    if rows:
        dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        # What was noted first holds: it says what counts, and corrections without end do not
        # put it off.
        connection.execute(dialect.insert(incident_recount).on_conflict_do_nothing(), rows)


def due(connection: Connection, policy: str, now_us: int, wait_us: int) -> list[Recount]:
    """The windows of a policy that count again now, in order of time; they are forgotten.

    Args:
        connection: The settling transaction.
        policy: Its name.
        now_us: The database's clock.
        wait_us: How long they wait; one that would wait for longer was noted by a wrong clock.
    """
    c = incident_recount.c
    is_due = or_(c.due_us <= now_us, c.due_us > now_us + wait_us)
    rows = connection.execute(
        select(c.start_us, c.counted)
        .where(c.policy == policy, is_due)
        .order_by(c.start_us)
        .limit(AT_ONCE)
    ).all()
    if not rows:
        return []
    starts = [row.start_us for row in rows]
    connection.execute(delete(incident_recount).where(c.policy == policy, c.start_us.in_(starts)))
    found = []
    for row in rows:
        old = window_at(connection, policy, row.start_us, row.counted) if row.counted else None
        new = window_at(connection, policy, row.start_us)
        if new is not None and (old is not None or not row.counted):
            found.append((old, new))
    return found


def recounted(found: Iterable[Recount], rules: Mapping[Kind, KindRule]) -> dict[Kind, list[Sample]]:
    """What windows say beyond what they said when they counted, by kind. Pure.

    What late lines took back is no news here: it resolves an incident, see `decide`.
    """
    more: dict[Kind, list[Sample]] = {}
    for old, new in found:
        before = _NOTHING if old is None else samples(old, rules)
        for kind, sample in samples(new, rules).items():
            grown = _grown(before.get(kind), sample)
            if grown is not None:
                more.setdefault(kind, []).append(grown)
    return more


def _grown(old: Sample | None, new: Sample) -> Sample | None:
    if old is None:
        return new
    # Of a share it is unknown which of the doubtful ones counted for what.
    if new.both_ways or new.bad <= old.bad:
        return None
    bad = new.bad - old.bad
    return msgspec.structs.replace(
        new,
        bad=bad,
        total=max(bad, new.total - old.total),
        lost=max(0, new.lost - old.lost),
        control=max(0, new.control - old.control),
    )
