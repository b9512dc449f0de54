"""What a verifier says of itself: its health, and what it counted, for probes and Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from collector import metrics
from collector.clock import Clock, SystemClock
from collector.errors import MirrorproofError
from collector.service.health import Health
from collector.service.health_server import serving
from collector.service.process import ProcessMetrics
from collector.settings import VerifierSettings
from verifier.alerts.outcome import Outcome
from verifier.cluster.tally import ClusterTally
from verifier.settle.record import Settled
from verifier.settle.tick import Ticked

_AWAY: Final = "database_away"


class Monitor(Collector):
    """Told by the loops of settling and delivery; asked by other threads.

    Args:
        settings: When a loop hangs, and where to answer.
        process: Whose metrics these become.
        clock: Where the time comes from.
    """

    def __init__(
        self, settings: VerifierSettings, process: ProcessMetrics, clock: Clock | None = None
    ) -> None:
        self._settings: Final = settings
        self._process: Final = process
        self._clock: Final = clock or SystemClock()
        self._holds_lease = False
        self._settled_us: int | None = None
        self._delivered_us: int | None = None
        registry = process.registry
        self._verdicts: Final = metrics.VERDICTS.counter(registry)
        self._windows: Final = metrics.WINDOWS.counter(registry)
        self._revisions: Final = metrics.REVISIONS.counter(registry)
        self._ticks: Final = metrics.TICK.histogram(registry)
        self._attempts: Final = metrics.ALERT_ATTEMPTS.counter(registry)
        self.health: Final = Health(self._clock, settings.hang_s, "no round of settling ended yet")
        self.cluster: Final = ClusterTally(process, self._clock)
        registry.register(self)
        process.watch("verifier", self.health)
        process.watch_stage("settle", lambda: self._settled_us)
        process.watch_stage("deliver", lambda: self._delivered_us)

    def serving(self) -> AbstractContextManager[object]:
        """Answers as long as the block, where the settings say so.

        Raises:
            UsageError: It cannot listen there.
        """
        listen = self._settings.health_listen
        if not listen:
            return nullcontext()
        return serving(self.health, listen, self._process, "verifier.health_listen")

    def beat(self) -> None:
        """The loop begins a round."""
        self.health.beat()

    def turned(self, ticked: Ticked | None, seconds: float) -> None:
        """A round ended well.

        Args:
            ticked: What was settled; None: another verifier holds the lease.
            seconds: How long it took.
        """
        self.health.mend("starting")
        self.health.mend(_AWAY)
        self._holds_lease = ticked is not None
        if ticked is None:
            return
        self._settled_us = self._clock.now_us()
        self._ticks.observe(seconds)
        for settled in ticked.settled:
            self._count(settled)

    def failed(self, error: MirrorproofError) -> None:
        """A round failed, and will be tried again: who cannot renew its lease loses it."""
        self._holds_lease = False
        self.health.trouble(_AWAY, str(error))

    def attempted(self, endpoint: str, outcome: Outcome) -> None:
        """A message was sent, or was not."""
        self._attempts.labels(self._process.endpoints.of(endpoint), outcome.value).inc()
        if outcome is Outcome.DELIVERED:
            self._delivered_us = self._clock.now_us()

    def _count(self, settled: Settled) -> None:
        policy = self._process.policies.of(settled.policy)
        if settled.revision > 1:
            self._revisions.labels(policy).inc()
            return
        self._windows.labels(policy, settled.result.ruling.statement.value).inc()
        for verdict, count in settled.result.verdicts.items():
            if count:
                self._verdicts.labels(policy, verdict).inc(count)

    def describe(self) -> Iterable[Metric]:
        """For the registry, which takes no name twice."""
        return [metrics.LEASE.family()]

    def collect(self) -> Iterable[Metric]:
        """What is read when somebody asks."""
        return [metrics.LEASE.family({(): float(self._holds_lease)})]
