"""How answers differ by endpoint, as the hours of settled windows tell; and what is accepted."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from verifier.settle.answers import HOUR_US
from verifier.statistics.compare import Compared, bounded
from verifier.statistics.divergence import RANGE_ERROR, Endpoint, judge_endpoints
from verifier.tables import endpoint_hour, endpoint_reference


def endpoints(
    connection: Connection,
    policy: str,
    since_us: int,
    until_us: int,
    error: float = RANGE_ERROR,
) -> list[Endpoint]:
    """How the answers of a policy's mirrors differ, the endpoint `all` first; none: no pair.

    Args:
        connection: A reading transaction.
        policy: Its name.
        since_us: The hour of this time is the first that counts, µs since the epoch.
        until_us: Hours that begin before count.
        error: How often anything is said to diverge that does not. Who looks every hour, for
            years, asks with `LIVE_ERROR`.
    """
    found = _hours(connection, policy, since_us, until_us)
    c = endpoint_reference.c
    rows = connection.execute(
        select(c.endpoint, c.compared).where(c.policy == policy).order_by(c.endpoint)
    )
    reference = {row.endpoint: _read(row) for row in rows}
    return judge_endpoints(found, reference or None, error)


def accept(connection: Connection, policy: str, since_us: int, until_us: int, now_us: int) -> int:
    """Takes a period for the reference: what differs in it is expected from now on.

    Args:
        connection: A writing transaction.
        policy: Its name.
        since_us: As for `endpoints`.
        until_us: As for `endpoints`.
        now_us: When that is.

    Returns:
        How many pairs the period has; with none of them nothing is changed.
    """
    found = bounded(_hours(connection, policy, since_us, until_us))
    if found:
        forget(connection, policy)
        given = {"policy": policy, "since_us": since_us, "until_us": until_us}
        rows = [
            {**given, "endpoint": name, "accepted_us": now_us, "compared": msgspec.json.encode(one)}
            for name, one in sorted(found.items())
        ]
        connection.execute(insert(endpoint_reference), rows)
    return sum(one.pairs for one in found.values())


def forget(connection: Connection, policy: str) -> None:
    """Accepts nothing any more."""
    connection.execute(delete(endpoint_reference).where(endpoint_reference.c.policy == policy))


def accepted_period(connection: Connection, policy: str) -> tuple[int, int] | None:
    """Begin and end of the reference period, µs since the epoch; None: there is none."""
    c = endpoint_reference.c
    row = connection.execute(
        select(c.since_us, c.until_us).where(c.policy == policy).limit(1)
    ).one_or_none()
    return None if row is None else (row.since_us, row.until_us)


def _hours(
    connection: Connection, policy: str, since_us: int, until_us: int
) -> dict[str, Compared]:
    """The sum of hours, by endpoint."""
    c = endpoint_hour.c
    query = (
        select(c.endpoint, c.compared)
        .where(c.policy == policy, c.hour_us >= since_us // HOUR_US * HOUR_US)
        .where(c.hour_us < until_us)
        .order_by(c.hour_us, c.endpoint)
    )
    found: dict[str, Compared] = {}
    for row in connection.execute(query):
        found.setdefault(row.endpoint, Compared()).merge(_read(row))
    return found


def _read(row: Any) -> Compared:
    return msgspec.json.decode(row.compared, type=Compared)
