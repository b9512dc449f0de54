"""What the collector's loop is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collector.careful import CarefulReading
from collector.clock import Clock
from collector.health import Health
from collector.lag import LagCheck
from collector.ownership import Ownership
from collector.pending import Pending
from collector.reader import Reader
from collector.sources.protocol import RecordSource
from collector.watcher import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the loop is made of; `collector.app` puts it together.

    Attributes:
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
    careful: CarefulReading | None = None
    start_timeout_s: float = 0.0
