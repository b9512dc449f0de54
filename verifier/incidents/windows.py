"""Reads the counts of settled windows: those that begin to count, and what was corrected since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select

from verifier.incidents.samples import WindowCounts, shares
from verifier.pairing.lines import Reason
from verifier.settle.record import Settled
from verifier.tables import finding, settled_policy, settled_window

AT_ONCE: Final = 200
"""Windows of a policy that begin to count in one tick; more than a tick can settle."""
_FIELDS: Final = tuple(
    name
    for name in WindowCounts.__struct_fields__
    if name not in ("start_us", "size_us", "silent", "undeclared", "unknown")
)
_COLUMNS: Final = tuple(
    settled_window.c[name] for name in ("start_us", "size_us", "revision", *_FIELDS)
)
Pair = tuple[WindowCounts, WindowCounts]
"""A window as it was, and as it is."""


def settled_to(connection: Connection) -> dict[str, int]:
    """Up to when each policy is settled, µs."""
    c = settled_policy.c
    return {row[0]: row[1] for row in connection.execute(select(c.policy, c.settled_to_us))}


def new_windows(
    connection: Connection, policy: str, from_us: int, to_us: int
) -> tuple[list[WindowCounts], int]:
    """The latest revisions of windows that lie in a span, in order of time.

    Args:
        connection: The settling transaction.
        policy: Its name.
        from_us: Windows before it are counted already.
        to_us: Windows that end after it do not count yet.

    Returns:
        The windows, and up to when all are among them: `to_us` unless there are too many.
    """
    c = settled_window.c
    rows = connection.execute(
        select(*_COLUMNS)
        .where(
            c.policy == policy,
            c.start_us >= from_us,
            c.start_us + c.size_us <= to_us,
            c.start_us < to_us,
            c.superseded_us.is_(None),
        )
        .order_by(c.start_us)
        .limit(AT_ONCE)
    ).all()
    reasons = _reasons(connection, policy, rows)
    found = [_counts(row, reasons) for row in rows]
    if len(rows) < AT_ONCE:
        return found, to_us
    return found, rows[-1].start_us + rows[-1].size_us


def window_at(
    connection: Connection, policy: str, start_us: int, revision: int | None = None
) -> WindowCounts | None:
    """One window by one of its revisions, None: the latest. None: there is none any more."""
    c = settled_window.c
    wanted = c.superseded_us.is_(None) if revision is None else c.revision == revision
    row = connection.execute(
        select(*_COLUMNS).where(c.policy == policy, c.start_us == start_us, wanted)
    ).one_or_none()
    return None if row is None else _counts(row, _reasons(connection, policy, [row]))


def corrected_windows(
    connection: Connection, settled: Iterable[Settled], before_us: int
) -> list[Pair]:
    """Windows of one policy that count already, and were corrected in this tick.

    Args:
        connection: The settling transaction.
        settled: What the tick wrote of the policy.
        before_us: Windows before it are counted.
    """
    found = []
    for one in settled:
        if one.revision == 1 or one.window.end_us > before_us:
            continue
        c = settled_window.c
        rows = connection.execute(
            select(*_COLUMNS)
            .where(
                c.policy == one.policy,
                c.start_us == one.window.start_us,
                c.revision.in_((one.revision - 1, one.revision)),
            )
            .order_by(c.revision)
        ).all()
        if len(rows) == 2:
            reasons = _reasons(connection, one.policy, rows)
            found.append((_counts(rows[0], reasons), _counts(rows[1], reasons)))
    return found


def _counts(row: Any, reasons: Mapping[tuple[int, int], dict[Reason, int]]) -> WindowCounts:
    why = reasons.get((row.start_us, row.revision), {})
    return WindowCounts(
        start_us=row.start_us,
        size_us=row.size_us,
        **shares(why, row.unverifiable),
        **{name: getattr(row, name) for name in _FIELDS},
    )


def _reasons(
    connection: Connection, policy: str, rows: Sequence[Any]
) -> dict[tuple[int, int], dict[Reason, int]]:
    """Why how many requests are unverifiable, by window and revision."""
    wanted = {(row.start_us, row.revision) for row in rows if row.unverifiable}
    if not wanted:
        return {}
    c = finding.c
    query = (
        select(c.window_start_us, c.revision, c.reason, c.mirror, func.sum(c.count))
        .where(
            c.policy == policy,
            c.window_start_us.in_(sorted({start for start, _ in wanted})),
            c.verdict == "unverifiable",
        )
        .group_by(c.window_start_us, c.revision, c.reason, c.mirror)
    )
    found: dict[tuple[int, int], dict[Reason, int]] = {}
    for start_us, revision, text, mirror, count in connection.execute(query):
        reason = reason_of(text, mirror)
        if reason is not None and (start_us, revision) in wanted:
            why = found.setdefault((start_us, revision), {})
            why[reason] = why.get(reason, 0) + int(count)
    return found


def reason_of(text: str, mirror: str) -> Reason | None:
    """The reason that a finding's words stand for; None: it is of another release."""
    name = mirror or "the mirror"
    return next((one for one in Reason if one.value.format(mirror=name) == text), None)
