"""The collector's metrics, read when somebody asks from what the loop keeps anyway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from collector import metrics
from collector.metric import Series
from collector.service.parts import Parts
from collector.sources.protocol import Partition

_SPECS: Final = (
    metrics.RECORDS,
    metrics.LINES_READ,
    metrics.LINES,
    metrics.LAG_RECORDS,
    metrics.LAG_SECONDS,
    metrics.STOPPED,
    metrics.FENCED,
    metrics.GAP_RECORDS,
)


class CollectorMetrics(Collector):
    """What one collector read, and how far it is behind.

    Args:
        parts: Of its loop, which runs on another thread: all is copied before it is looked at.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts: Final = parts

    def describe(self) -> Iterable[Metric]:
        """For the registry, which takes no name twice."""
        return [spec.family() for spec in _SPECS]

    def collect(self) -> Iterable[Metric]:
        """All of it, now."""
        return [*self._counts(), *self._partitions()]

    def _counts(self) -> Iterable[Metric]:
        totals, careful = self._parts.pending.totals, self._parts.careful
        results = {
            "stored": totals.stored,
            "ignored": totals.ignored,
            "quarantined": totals.quarantined,
        }
        yield metrics.RECORDS.family({(): totals.records})
        yield metrics.LINES_READ.family({(): totals.read})
        yield metrics.LINES.family({(name,): count for name, count in results.items()})
        yield metrics.FENCED.family({(): self._parts.pending.fenced_writes})
        yield metrics.GAP_RECORDS.family({(): careful.passed_over if careful else 0})

    def _partitions(self) -> Iterable[Metric]:
        ownership, now_us = self._parts.ownership, self._parts.clock.now_us()
        held, stopped = ownership.held.copy(), ownership.stopped.copy()
        lag = {one: count for one, count in self._parts.lag.lag.copy().items() if one in held}
        late = {
            one: max(0, now_us - held[one].record_us) / 1e6 if count > 0 else 0.0
            for one, count in lag.items()
            if count <= 0 or held[one].record_us
        }
        states = {**dict.fromkeys(held, 0.0), **dict.fromkeys(stopped, 1.0)}
        yield metrics.LAG_RECORDS.family(_labelled(lag))
        yield metrics.LAG_SECONDS.family(_labelled(late))
        yield metrics.STOPPED.family(_labelled(states))


def _labelled(values: Mapping[Partition, float]) -> Series:
    return {(one.topic, str(one.number)): value for one, value in sorted(values.items())}
