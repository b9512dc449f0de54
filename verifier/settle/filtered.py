"""Which mirrors' logs may be filtered by status: what lacks there says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from collector.db.tables import observation
from collector.records import Role
from verifier.pairing.doubt import FIRST_ERROR, only_errors_logged
from verifier.settle.cast import Cast
from verifier.settle.windows import Span

_AROUND_US: Final = 600_000_000
"""How far around a span a mirror's lines are looked at."""


def find_filtered(
    connection: Connection, cast: Cast, mirrors: Sequence[Sequence[int]], span: Span
) -> frozenset[int]:
    """The mirror groups whose logs around a span hold nothing but errors, and few of them.

    Args:
        connection: In the settling transaction.
        cast: Of the policy version.
        mirrors: The pods of each mirror group.
        span: What is judged.
    """
    c = observation.c
    near = (
        c.start_us >= span.start_us - _AROUND_US,
        c.start_us < span.end_us + _AROUND_US,
        c.role == int(Role.SERVER),
    )
    lines = select(func.count(c.line_id.distinct())).where(*near)
    found = set()
    for group, pods in enumerate(mirrors):
        of_mirror = c.pod_id.in_(pods)
        fine = select(c.code).where(*near, of_mirror, c.code < FIRST_ERROR).limit(1)
        if not pods or connection.execute(fine).first() is not None:
            continue
        errors = connection.scalar(lines.where(of_mirror)) or 0
        requests = connection.scalar(lines.where(c.pod_id.in_(cast.live_pods()))) or 0
        if only_errors_logged(errors, 0, requests):
            found.add(group)
    return frozenset(found)
