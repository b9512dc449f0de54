"""Sums of windows, and the loss that those before a time show."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select

from verifier.pairing.context import NO_LOSS, Loss, shown_loss
from verifier.pairing.lines import Verdict
from verifier.pairing.tally import Tally
from verifier.settle.windows import SECOND_US
from verifier.tables import settled_window

COUNTED: Final = tuple(verdict for verdict in Verdict if verdict is not Verdict.PENDING)
NUMBERS: Final = (
    "requests", "requests_high", "control", "control_lost", "paired", "status_differs",
)  # fmt: skip
_FAILURES: Final = ("failures", "failing_seconds")
_NAMES: Final = (*(verdict.value for verdict in COUNTED), *NUMBERS, *_FAILURES)

BEFORE_US: Final = 3600 * SECOND_US
"""How long before a window or a range shipping is looked at, to see whether it loses lines."""


def latest(policy: str, since_us: int | None, until_us: int | None) -> list[ColumnElement[bool]]:
    """Chooses the latest revisions of the windows that start in a range; None: without an end."""
    c = settled_window.c
    where = [c.policy == policy, c.superseded_us.is_(None)]
    if since_us is not None:
        where.append(c.start_us >= since_us)
    if until_us is not None:
        where.append(c.start_us < until_us)
    return where


def sum_up(connection: Connection, where: list[ColumnElement[bool]]) -> tuple[dict[str, int], Any]:
    """The sums of windows; and their first start and last end (µs since the epoch), and number."""
    c = settled_window.c
    sums = [func.coalesce(func.sum(c[name]), 0).label(name) for name in _NAMES]
    span = (
        func.min(c.start_us).label("first_us"),
        func.max(c.start_us + c.size_us).label("last_us"),
        func.count().label("windows"),
    )
    row = connection.execute(select(*sums, *span).where(*where)).one()
    return {name: int(getattr(row, name)) for name in _NAMES}, row


def tally_of(number: dict[str, int]) -> Tally:
    """Sums of windows as a tally."""
    tally = Tally(0)
    tally.counts = {verdict: number[verdict.value] for verdict in COUNTED}
    for name in NUMBERS:
        setattr(tally, name, number[name])
    seconds, failures = number["failing_seconds"], number["failures"]
    # In which second each was does not matter, only how many seconds there were.
    tally.failures = dict.fromkeys(range(seconds), 1)
    if seconds:
        tally.failures[0] += failures - seconds
    return tally


def loss_before(connection: Connection, policy: str, start_us: int) -> Loss:
    """What the windows of the hour before a time show of lines lost in shipping."""
    where = latest(policy, start_us - BEFORE_US, start_us)
    number, row = sum_up(connection, where)
    if not row.windows:
        return NO_LOSS
    return shown_loss(tally_of(number), max(1, (row.last_us - row.first_us) // SECOND_US))
