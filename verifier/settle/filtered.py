"""Which mirrors' logs may be filtered by status: what lacks there says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from collector.db.tables import observation
from collector.records import Role
from verifier.pairing.doubt import FEW_ERRORS, FIRST_ERROR, only_errors_logged
from verifier.settle.cast import Cast
from verifier.settle.windows import Span
from verifier.settle.written import started

_AROUND_US: Final = 120_000_000
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
    around = Span(span.start_us - _AROUND_US, span.end_us + _AROUND_US)
    near = [*started(connection, around), c.role == int(Role.SERVER)]
    lines = select(c.line_id).where(*near).distinct()
    found = set()
    for group, pods in enumerate(mirrors):
        of_mirror = c.pod_id.in_(pods)
        fine = select(c.code).where(*near, of_mirror, c.code < FIRST_ERROR).limit(1)
        if not pods or connection.execute(fine).first() is not None:
            continue
        errors = _count(connection, lines.where(of_mirror))
        if errors < FEW_ERRORS:
            continue
        # More than twice as many are asked for; how many more does not matter.
        enough = lines.where(c.pod_id.in_(cast.live_pods())).limit(2 * errors + 1)
        if only_errors_logged(errors, 0, _count(connection, enough)):
            found.add(group)
    return frozenset(found)


def _count(connection: Connection, query: Select[Any]) -> int:
    return connection.scalar(select(func.count()).select_from(query.subquery())) or 0
