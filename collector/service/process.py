"""What a process exposes to Prometheus: one registry of its own, and what all its parts share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from collector import metrics
from collector.metric import Series
from collector.service.health import Health

PATH: Final = "/metrics"
MOST_NAMES: Final = 200
"""Policies, or receivers, that have series of their own; later ones share `OTHER`."""
OTHER: Final = "other"


class Bounded:
    """Values of a label: the first ones by name, all others as one.

    Args:
        most: How many have a name.
    """

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most: Final = most
        self._known: set[str] = set()
        self._lock = Lock()

    def of(self, name: str) -> str:
        """The label of a name, always the same."""
        with self._lock:
            if name in self._known or len(self._known) < self._most:
                self._known.add(name)
                return name
            return OTHER


class ProcessMetrics(Collector):
    """The metrics of one process; its parts register theirs.

    Attributes:
        registry: All of them.
        policies: Bounds the label `policy`.
        endpoints: Bounds the label `endpoint`.
    """

    def __init__(self) -> None:
        # A second series beside each counter, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry: Final = CollectorRegistry()
        self.policies: Final = Bounded()
        self.endpoints: Final = Bounded()
        self._healths: dict[str, Health] = {}
        self._stages: dict[str, Callable[[], int | None]] = {}
        self.registry.register(self)
        ProcessCollector(registry=self.registry)  # memory, processor time, files: process_…

    def watch(self, part: str, health: Health) -> None:
        """Tells the health of a part from now on."""
        self._healths[part] = health

    def watch_stage(self, stage: str, last_us: Callable[[], int | None]) -> None:
        """Tells when a stage did its work last, µs since the epoch; None: it never did."""
        self._stages[stage] = last_us

    def answer(self, accept: str) -> tuple[bytes, str]:
        """Everything in the text format that somebody asks for, and the name of that.

        Args:
            accept: The header of that name; empty: the plain format.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def describe(self) -> Iterable[Metric]:
        """For the registry, which takes no name twice."""
        shared = metrics.BUILD_INFO, metrics.TROUBLE, metrics.LOOP_SILENT, metrics.LAST_SUCCESS
        return [spec.family() for spec in shared]

    def collect(self) -> Iterable[Metric]:
        """What all parts share, now."""
        healths = self._healths.copy()
        troubles: Series = {
            (part, why): 1.0 for part, one in healths.items() for why in one.not_ready()
        }
        silent: Series = {(part,): one.silent_s() for part, one in healths.items()}
        done = {stage: last_us() for stage, last_us in self._stages.copy().items()}
        successes: Series = {
            (stage,): at_us / 1e6 for stage, at_us in done.items() if at_us is not None
        }
        return [
            metrics.BUILD_INFO.family({(version("mirrorproof"),): 1.0}),
            metrics.TROUBLE.family(troubles),
            metrics.LOOP_SILENT.family(silent),
            metrics.LAST_SUCCESS.family(successes),
        ]
