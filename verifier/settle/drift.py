"""Watches each policy's share of copies over its settled windows, in order.

What is remembered of an hour's last window is kept beside the newest, so that a window that was
corrected is taken in by going back to the hour before it: after any corrections the watch is the
same as over the final windows alone. See `verifier.statistics.sequential`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from verifier.policies.model import Policy
from verifier.settle.record import Settled
from verifier.settle.versions import Versions
from verifier.statistics.sequential import (
    Copied,
    Decision,
    Lost,
    Watch,
    decide,
    watch_loss,
    watch_share,
)
from verifier.tables import drift_state, settled_window

HOUR_US: Final = 3_600_000_000
KEPT_US: Final = 90 * 24 * HOUR_US
"""Windows that are corrected later than this change nothing any more."""
MAX_WINDOWS: Final = 5_000
"""Most windows of a policy that one tick takes in; some tenths of a second."""


class Terms(msgspec.Struct, frozen=True):
    """What the share is held against: the declared share and the accepted loss, both 0 to 1."""

    declared: float
    tolerance: float


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a policy's copies drift, by its windows so far.

    Attributes:
        policy: Its name.
        terms: What they are held against.
        decision: Of copied requests where the declared share is below 1, else of missing ones.
        through_us: End of the last window in it, µs since the epoch.
    """

    policy: str
    terms: Terms
    decision: Decision
    through_us: int


def drift_of(connection: Connection, policy: str) -> Drift | None:
    """What the settled windows of a policy amount to; None: there are none yet."""
    row = _newest(connection, policy)
    if row is None:
        return None
    terms, decision = Terms(row.declared, row.tolerance), decide(_watch(row))
    return Drift(policy=policy, terms=terms, decision=decision, through_us=row.through_us)


def advance(connection: Connection, versions: Versions, settled: Iterable[Settled]) -> bool:
    """Takes in the windows that were settled, and again those after a corrected one.

    Args:
        connection: The settling transaction.
        versions: The policies.
        settled: The revisions that it wrote.

    Returns:
        Whether windows are left for the next tick.
    """
    starts: dict[str, list[int]] = {}
    for one in settled:
        starts.setdefault(one.policy, []).append(one.window.start_us)
    more = False
    for name in versions.mirrored():
        more |= _advance(connection, versions, name, starts.get(name, []))
    return more


def _advance(connection: Connection, versions: Versions, name: str, starts: Iterable[int]) -> bool:
    """Takes in the next windows of a policy, after those that were settled just now."""
    head = _newest(connection, name)
    if head is not None:
        since_us = head.through_us - KEPT_US
        corrected = [start for start in starts if since_us <= start < head.through_us]
        if corrected:
            _go_back(connection, name, min(corrected))
            head = _newest(connection, name)
    rows = _windows(connection, name, None if head is None else head.through_us)
    if rows:
        policies = {version.id: version.policy for version in versions.of(name)}
        _save(connection, name, _walk(policies, head, rows))
    return len(rows) == MAX_WINDOWS


def _newest(connection: Connection, policy: str) -> Any:
    c = drift_state.c
    query = select(drift_state).where(c.policy == policy).order_by(c.hour_us.desc()).limit(1)
    return connection.execute(query).one_or_none()


def _watch(row: Any) -> Watch:
    return msgspec.json.decode(row.watch, type=Watch)


def _go_back(connection: Connection, policy: str, time_us: int) -> None:
    """Forgets what was remembered with windows from a time on."""
    c = drift_state.c
    connection.execute(delete(drift_state).where(c.policy == policy, c.through_us > time_us))


def _windows(connection: Connection, policy: str, since_us: int | None) -> list[Any]:
    """The next windows by their latest revisions, in order."""
    c = settled_window.c
    query = select(
        c.start_us, c.size_us, c.policy_version_id, c.declared, c.matched, c.missing,
        c.unsampled, c.unverifiable, c.control, c.control_lost,
    ).where(c.policy == policy, c.superseded_us.is_(None))  # fmt: skip
    if since_us is not None:
        query = query.where(c.start_us >= since_us)
    return list(connection.execute(query.order_by(c.start_us).limit(MAX_WINDOWS)))


def _walk(policies: Mapping[int, Policy], head: Any, rows: Iterable[Any]) -> list[dict[str, Any]]:
    """What is remembered after the last of these windows in each hour."""
    terms = None if head is None else Terms(head.declared, head.tolerance)
    watch = Watch() if head is None else _watch(head)
    hours: dict[int, dict[str, Any]] = {}
    for row in rows:
        policy = policies.get(row.policy_version_id)
        tolerance = 0.0 if policy is None else policy.rules.tolerance
        now = Terms(row.declared / 100, tolerance)
        if now == terms:
            watch = _step(watch, terms, row)
        else:
            # The window in which the terms changed has requests of either.
            terms, watch = now, Watch()
        through_us = row.start_us + row.size_us
        hour_us = (through_us - 1) // HOUR_US * HOUR_US
        hours[hour_us] = {
            "hour_us": hour_us,
            "through_us": through_us,
            "declared": terms.declared,
            "tolerance": terms.tolerance,
            "watch": watch,
        }
    return list(hours.values())


def _step(watch: Watch, terms: Terms, row: Any) -> Watch:
    span = (row.start_us, row.start_us + row.size_us)
    owed = row.matched + row.missing + row.unsampled
    if 0 < terms.declared < 1:
        # Beside requests without a copy in a hole are others with one: none of them is left out.
        window = Copied(*span, row.matched, owed, row.unverifiable)
        return watch_share(watch, window, terms.declared)
    lost = Lost(*span, row.missing, owed, row.control_lost, row.control)
    return watch_loss(watch, lost, terms.tolerance)


def _save(connection: Connection, policy: str, hours: list[dict[str, Any]]) -> None:
    """Writes what is remembered, and drops what is too old to go back to."""
    c = drift_state.c
    newest = hours[-1]["hour_us"]
    numbers = [hour["hour_us"] for hour in hours]
    connection.execute(
        delete(drift_state).where(c.policy == policy, c.hour_us.between(min(numbers), max(numbers)))
    )
    # One before the first that is kept stays, to begin at.
    first = select(func.max(c.hour_us)).where(c.policy == policy, c.hour_us < newest - KEPT_US)
    first_us = connection.scalar(first)
    if first_us is not None:
        connection.execute(delete(drift_state).where(c.policy == policy, c.hour_us < first_us))
    written = [
        {**hour, "policy": policy, "watch": msgspec.json.encode(hour["watch"])} for hour in hours
    ]
    connection.execute(insert(drift_state), written)
