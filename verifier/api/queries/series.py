"""Verdicts over time: the windows of a range summed up in as many steps as a chart shows."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from verifier.pairing.lines import Verdict
from verifier.settle.windows import SECOND_US, Span
from verifier.tables import settled_window

MOST_STEPS: Final = 240
_STEPS_S: Final = (
    10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 604_800,
)  # fmt: skip
_COUNTED: Final = tuple(verdict for verdict in Verdict if verdict is not Verdict.PENDING)


class Step(msgspec.Struct, frozen=True):
    """The windows that start in one step of time.

    Attributes:
        start_us: Its start, µs since the epoch.
        size_us: How long it is.
        requests: Live requests.
        verdicts: How many of each; lines that were lost in shipping are taken off the missing.
    """

    start_us: int
    size_us: int
    requests: int
    verdicts: dict[str, int]

    @property
    def completeness(self) -> float | None:
        """Share of the owed copies that came, percent; None: none was owed for certain."""
        owed = self.verdicts[Verdict.MATCHED] + self.verdicts[Verdict.MISSING]
        return None if not owed else 100 * self.verdicts[Verdict.MATCHED] / owed


def step_us(span: Span) -> int:
    """The smallest step with which a range has at most `MOST_STEPS`."""
    length_s = (span.end_us - span.start_us) / SECOND_US
    fitting = (size for size in _STEPS_S if length_s / size <= MOST_STEPS)
    return next(fitting, _STEPS_S[-1]) * SECOND_US


def series(connection: Connection, policy: str, span: Span) -> list[Step]:
    """The steps of a range that have windows, in order, by their latest revisions.

    Args:
        connection: A snapshot.
        policy: Its name.
        span: Windows that start in it.
    """
    c = settled_window.c
    size = step_us(span)
    begin = (c.start_us // size).label("begin")
    sums = [func.sum(c[verdict.value]).label(verdict.value) for verdict in _COUNTED]
    lost = (func.sum(c.requests).label("requests"), func.sum(c.log_loss).label("log_loss"))
    query = (
        select(begin, *sums, *lost)
        .where(
            c.policy == policy,
            c.superseded_us.is_(None),
            c.start_us >= span.start_us,
            c.start_us < span.end_us,
        )
        .group_by(begin)
        .order_by(begin)
    )
    found = []
    for row in connection.execute(query).mappings():
        verdicts = {verdict.value: int(row[verdict.value]) for verdict in _COUNTED}
        verdicts[Verdict.MISSING] -= int(row["log_loss"])
        verdicts[Verdict.UNVERIFIABLE] += int(row["log_loss"])
        found.append(Step(int(row["begin"]) * size, size, int(row["requests"]), verdicts))
    return found
