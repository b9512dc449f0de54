"""What the collector's loop is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.clock import Clock
from collector.reader import Reader
from collector.service.careful import CarefulReading
from collector.service.health import Health
from collector.service.lag import LagCheck
from collector.service.ownership import Ownership
from collector.service.pending import Pending
from collector.service.watcher import Watcher
from collector.sources.protocol import RecordSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the loop is made of; `collector.service.app` puts it together.

    Attributes:
        most_waiting: Lines that may be read ahead of a transaction that is under way.
        start_timeout_s: How long the first opening of a source may take; 0: for ever.
    """

    clock: Clock
    health: Health
    open_source: Callable[[], RecordSource]
    ownership: Ownership
    pending: Pending
    lag: LagCheck
    watcher: Watcher
    reader: Reader
    poll_s: float
    most_waiting: int
    careful: CarefulReading | None = None
    start_timeout_s: float = 0.0

    def ask_database(self) -> bool:
        """Whether anything but writing needs the database: what was read is written first, then."""
        dues = self.watcher.is_due, self.ownership.is_due, self.lag.is_due
        return not self.pending or any(due() for due in dues)
