"""Reads from the database how far the verifier is: what the screen shows and the end compares."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, and_, select
from sqlalchemy.exc import SQLAlchemyError

from collector.db.engine import as_our_error, reading
from verifier.demo.policy import POLICY_NAME
from verifier.demo.view import Progress, WindowRow
from verifier.pairing.lines import Verdict
from verifier.settle import report
from verifier.settle.watermark import EvidenceRules
from verifier.tables import finding, settled_window

SHOWN_WINDOWS: Final = 10
_T = TypeVar("_T")


class ProgressReader:
    """Reads what was settled of the demo's policy.

    Args:
        engine: The database; the policy is recorded in it.
        evidence: How long the brokers' word counts, as the verifier has it.

    Raises, from any method: UsageError, Retryable: the database.
    """

    def __init__(self, engine: Engine, evidence: EvidenceRules) -> None:
        self._engine: Final = engine
        self._evidence: Final = evidence

    def read(self) -> Progress:
        """How far the verifier is."""
        return self._ask(self._progress)

    def missing_request_id(self) -> str:
        """The id of a request that was not mirrored, or empty."""
        c = finding.c
        query = (
            select(c.request_id)
            .where(c.policy == POLICY_NAME, c.verdict == Verdict.MISSING.value)
            .order_by(c.id)
            .limit(1)
        )
        return self._ask(lambda connection: connection.scalar(query) or "")

    def delays_s(self) -> list[float]:
        """From the start of each lost copy's request to when it was found, seconds, in order."""
        f, w = finding.c, settled_window.c
        window = (w.policy == f.policy, w.start_us == f.window_start_us, w.revision == f.revision)
        query = (
            select(f.start_us, w.settled_us)
            .join_from(finding, settled_window, and_(*window))
            .where(f.policy == POLICY_NAME, f.verdict == Verdict.MISSING.value, f.revision == 1)
        )
        rows = self._ask(lambda connection: connection.execute(query).all())
        return sorted((settled_us - start_us) / 1e6 for start_us, settled_us in rows)

    def _progress(self, connection: Connection) -> Progress:
        windows = report.latest_windows(connection, POLICY_NAME, SHOWN_WINDOWS)
        now_us = time.time_ns() // 1000
        return Progress(
            windows=tuple(
                WindowRow(
                    start_us=window.start_us, statement=window.statement, verdicts=window.verdicts
                )
                for window in windows
            ),
            verdicts=report.totals(connection, POLICY_NAME).verdicts,
            settled_us=report.settled_to_us(connection, POLICY_NAME),
            watermark_us=report.watermark(connection, now_us, self._evidence).time_us,
        )

    def _ask(self, question: Callable[[Connection], _T]) -> _T:
        try:
            with reading(self._engine) as connection:
                return question(connection)
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
