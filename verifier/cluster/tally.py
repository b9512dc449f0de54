"""What is counted of the cluster, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from collector import metrics
from collector.clock import Clock
from collector.metric import Series
from collector.service.process import ProcessMetrics
from verifier.cluster.board import Place


class ClusterTally(Collector):
    """Told by the watcher; asked by other threads.

    Args:
        process: Whose metrics these become.
        clock: Where the time comes from.
    """

    def __init__(self, process: ProcessMetrics, clock: Clock) -> None:
        self._clock: Final = clock
        self._counts: dict[str, int] = {}
        self._refused: int | None = None
        self._written_us: int | None = None
        self._failures: Final = metrics.CLUSTER_FAILURES.counter(process.registry)
        process.registry.register(self)
        process.watch_stage("watch", lambda: self._written_us)

    def failed(self, place: Place) -> None:
        """A list or a watch failed."""
        self._failures.labels(place.kind.name).inc()

    def written(self, counts: dict[str, int], refused: int) -> None:
        """What is known was compared with what is recorded."""
        self._counts, self._refused = counts, refused
        self._written_us = self._clock.now_us()

    def describe(self) -> Iterable[Metric]:
        """For the registry, which takes no name twice."""
        return [metrics.CLUSTER_OBJECTS.family(), metrics.CLUSTER_REFUSED.family()]

    def collect(self) -> Iterable[Metric]:
        """What is read when somebody asks."""
        counts: Series = {(kind,): float(n) for kind, n in self._counts.items()}
        known = self._refused
        refused: Series = {} if known is None else {(): float(known)}
        return [
            metrics.CLUSTER_OBJECTS.family(counts),
            metrics.CLUSTER_REFUSED.family(refused),
        ]
