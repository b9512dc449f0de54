"""How many requests of each sender were copied: one stale proxy makes a percentage wrong."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, select

from collector.db.tables import host, observation
from collector.records import Role
from verifier.incidents.causes import Copied
from verifier.pairing.lines import Side
from verifier.policies.model import Policy
from verifier.settle.cast import Cast, Directory
from verifier.settle.windows import Span

MAX_REQUESTS: Final = 4_000
"""So many tell who stands out; more would only take longer."""


def copied_by_sender(connection: Connection, policy: Policy, span: Span) -> dict[str, Copied]:
    """The requests that each sender logged in a span, and how many have a copy; empty: none did.

    Args:
        connection: The settling transaction.
        policy: The version in force.
        span: Of which all lines are there.
    """
    c = observation.c
    asked = select(c.key, c.pod_id, c.role, c.destination_id).where(
        c.start_us >= span.start_us,
        c.start_us < span.end_us + policy.rules.horizon_us,
        c.host_id.in_(select(host.c.id).where(host.c.name.in_(policy.hosts))),
    )
    sent = connection.execute(
        asked.where(c.role == int(Role.CLIENT), c.start_us < span.end_us).limit(MAX_REQUESTS)
    ).all()
    keys = sorted({row.key for row in sent})
    received = connection.execute(asked.where(c.role == int(Role.SERVER), c.key.in_(keys))).all()
    directory = Directory()
    directory.refresh(connection, {row.pod_id for row in (*sent, *received)})
    cast = Cast(policy, directory)
    copied = {row.key for row in received if _plays(cast, row, Side.SERVER_MIRROR)}
    requests = {row.key: row.pod_id for row in sent if _plays(cast, row, Side.CLIENT_LIVE)}
    found: dict[str, Copied] = {}
    for key, number in requests.items():
        _count(found, directory.pods[number].pod, key, copied)
    return found


def _plays(cast: Cast, row: Any, side: Side) -> bool:
    part = cast.part(row.role, row.pod_id, row.destination_id)
    return part is not None and part[0] is side


def _count(found: dict[str, Copied], sender: str, key: bytes, copied: Collection[bytes]) -> None:
    before = found.get(sender, Copied(0, 0))
    found[sender] = Copied(before.copied + (key in copied), before.requests + 1)
