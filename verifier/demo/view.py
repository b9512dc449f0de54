"""What the demo shows: plain data, filled by the run, drawn by the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from verifier.demo.ledger import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRow:
    """A settled window, by its newest revision.

    Attributes:
        start_us: When it began, µs since the epoch.
        statement: `proven`, `violated` or `not_proven`.
        verdicts: Counts by verdict.
    """

    start_us: int
    statement: str
    verdicts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the verifier is.

    Attributes:
        windows: The newest settled windows, oldest first.
        verdicts: Totals by verdict over all windows of this run.
        settled_us: Up to when everything is settled, µs since the epoch; None: nothing yet.
        watermark_us: Up to when all evidence has arrived, µs since the epoch; None: unknown.
    """

    windows: tuple[WindowRow, ...] = ()
    verdicts: Mapping[str, int] = field(default_factory=dict)
    settled_us: int | None = None
    watermark_us: int | None = None

    def covers(self, time_us: int) -> bool:
        """Whether everything that began before a moment (µs since the epoch) is settled."""
        return self.settled_us is not None and self.settled_us >= time_us


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One picture of the running demo.

    Attributes:
        phase: What the route does now.
        elapsed_s: Since traffic began, in seconds.
        round_s: How long one round of phases takes, in seconds.
        truth: What the applications counted so far.
        progress: What the verifier settled so far.
        now_us: When the picture was taken, µs since the epoch.
    """

    phase: str
    elapsed_s: float
    round_s: float
    truth: Truth
    progress: Progress
    now_us: int

    @property
    def lag_s(self) -> float | None:
        """How far the watermark is behind, in seconds; None: unknown."""
        if self.progress.watermark_us is None:
            return None
        return max(0.0, (self.now_us - self.progress.watermark_us) / 1e6)
