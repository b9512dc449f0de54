"""What retention forbids: judging windows of which lines may lack.

A window that is settled keeps its verdict for good once its lines, or lines around it, may be
dropped. One that never was settled is written down as such; no verdict is made up for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from collector.db.kept import lines_kept_from
from collector.db.tables import observation
from collector.reader import MAX_SKEW_US
from collector.words import first_of
from verifier.pairing.statement import Ruling, Statement
from verifier.settle.chains import LONGEST_US
from verifier.settle.late import NewBatch, portions
from verifier.settle.versions import VersionStore
from verifier.settle.windows import Grid
from verifier.settle.written import written_with
from verifier.tables import LONG_US, settled_policy, unsettled
from verifier.times import iso_time

NEVER_US: Final = -(1 << 62)
"""Before any time: nothing was ever dropped, or settled."""


def reach_before_us(horizon_us: int) -> int:
    """How far before a window lines may start that are read to judge it; see `rows`."""
    return 2 * LONGEST_US + horizon_us + LONG_US


def judged_from_us(connection: Connection, horizon_us: int) -> int:
    """Windows that start then or later have all their lines, and may be judged."""
    kept_us = lines_kept_from(connection)
    return NEVER_US if kept_us is None else kept_us + reach_before_us(horizon_us)


def first_window_us(grid: Grid, time_us: int) -> int:
    """The start of the first window that begins at a time or later."""
    window = grid.window(time_us)
    return window.start_us if window.start_us == time_us else window.end_us


def count_too_late(
    connection: Connection,
    policy: str,
    batches: Sequence[NewBatch],
    hosts: Collection[int],
    before_us: int,
) -> int:
    """Counts the new lines about windows that start before a time: they change nothing any more."""
    c = observation.c
    old = [b.id for b in batches if b.min_start_us is not None and b.min_start_us < before_us]
    number = 0
    for ids in portions(old):
        where = (
            *written_with(connection, ids), c.host_id.in_(hosts), c.start_us < before_us,
        )  # fmt: skip
        query = select(func.count()).select_from(observation).where(*where)
        number += connection.scalar(query) or 0
    if number:
        connection.execute(
            update(settled_policy)
            .where(settled_policy.c.policy == policy)
            .values(too_late=settled_policy.c.too_late + number)
        )
    return number


def note_unsettled(
    connection: Connection, policy: str, from_us: int, to_us: int, now_us: int
) -> None:
    """Windows from a time up to another can never be settled: their lines were dropped."""
    values = {"policy": policy, "from_us": from_us, "to_us": to_us, "noted_us": now_us}
    connection.execute(insert(unsettled).values(values))


def unsettled_spans(
    connection: Connection, policy: str, since_us: int | None = None, until_us: int | None = None
) -> list[tuple[int, int]]:
    """The stretches of a policy that were never settled and meet a range, in order."""
    c = unsettled.c
    query = select(c.from_us, c.to_us).where(c.policy == policy).order_by(c.from_us)
    if since_us is not None:
        query = query.where(c.to_us > since_us)
    if until_us is not None:
        query = query.where(c.from_us < until_us)
    return [(row[0], row[1]) for row in connection.execute(query)]


def with_gaps(ruling: Ruling, unsettled: Sequence[tuple[int, int]]) -> Ruling:
    """What is stated of a range of which parts were never settled: not that all was mirrored."""
    if not unsettled or ruling.statement is not Statement.PROVEN:
        return ruling
    stretches = [f"{iso_time(begin)} to {iso_time(end)}" for begin, end in unsettled]
    reason = f"lines from {first_of(stretches, 1)} were dropped before they were settled"
    return Ruling(Statement.NOT_PROVEN, reason)


def needed_us(connection: Connection) -> int | None:
    """From which ingest time on lines are needed to settle; None: no policy has a mirror.

    A policy that was never settled while others are has had no lines yet.
    """
    versions = VersionStore().read(connection)
    names = versions.mirrored()
    if not names:
        return None
    c = settled_policy.c
    query = select(c.policy, c.settled_to_us).where(c.policy.in_(names))
    needs = [
        settled_to_us
        - max(reach_before_us(version.policy.rules.horizon_us) for version in versions.of(name))
        - MAX_SKEW_US
        for name, settled_to_us in connection.execute(query)
    ]
    return min(needs, default=NEVER_US)
