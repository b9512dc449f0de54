"""What a metric is: its name, unit, meaning and labels, and how it is exposed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

PREFIX: Final = "mirrorproof_"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
"""Upper bounds of what transactions and requests may take."""

Series = Mapping[tuple[str, ...], float]
"""The values of a metric by the values of its labels."""


class Kind(StrEnum):
    """What a metric is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Place(StrEnum):
    """Which commands have a metric; `up` has all."""

    ALL = "collect, verify, serve"
    LOOPS = "collect, verify"
    COLLECTOR = "collect"
    VERIFIER = "verify"
    DATABASE = "verify, serve"
    API = "serve"


class Spec(msgspec.Struct, frozen=True):
    """One metric.

    Attributes:
        name: Without the prefix; ends with its unit, and `total` where it only grows.
        kind: What it is.
        place: Who has it.
        help: What it tells.
        labels: What its series are told apart by.
    """

    name: str
    kind: Kind
    place: Place
    help: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As it is exposed."""
        return PREFIX + self.name

    def counter(self, registry: CollectorRegistry) -> Counter:
        """One that is counted where things happen."""
        return Counter(self.full_name, self.help, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """One that is observed where things happen."""
        return Histogram(
            self.full_name, self.help, self.labels, registry=registry, buckets=_SECONDS
        )

    def family(self, values: Series | None = None) -> Metric:
        """What is read when somebody asks.

        Args:
            values: By the values of the labels; None: none, as to describe it.
        """
        of_kind = CounterMetricFamily if self.kind is Kind.COUNTER else GaugeMetricFamily
        made = of_kind(self.full_name, self.help, labels=self.labels)
        for labels, value in (values or {}).items():
            made.add_metric(labels, value)
        return made
