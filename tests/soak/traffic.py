"""Ships the traffic of a run at its time, with what lines suffer, and keeps the truth."""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event as Stop
from threading import Thread
from typing import Final

from kafka import KafkaProducer

from tests.mesh_traffic import NODES, Sent, heartbeats, partition_of, request
from tests.soak.clock import SettableClock
from tests.soak.plan import SECOND, Event, Fault, Span, spans

PARTITIONS: Final = 3
_BEAT_S: Final = 2
_STEP_S: Final = 0.05
_SHARE: Final = 0.3
_ALWAYS_LOST: Final = 0.001
"""Share of requests whose copy is never sent, all the time."""
_LINES_SUFFER: Final = Span(180, 480)


@dataclass
class Truth:
    """What really happened.

    Attributes:
        at_us: When each request began.
        uncopied: Requests without a copy while the mesh was to mirror.
        off: Requests without a copy while it was not to.
    """

    at_us: dict[str, int] = field(default_factory=dict)
    uncopied: set[str] = field(default_factory=set)
    off: set[str] = field(default_factory=set)


class Weather:
    """What becomes of requests and records, by the seconds after the traffic began."""

    def __init__(self, events: Sequence[Event], chance: random.Random) -> None:
        self._chance, self._nodes = chance, sorted(set(NODES.values()))
        self._late = spans(events, Fault.LATE, _LINES_SUFFER)
        self._repeated = spans(events, Fault.REPEATED, _LINES_SUFFER)
        self._off: list[Span] = []
        self._outages = spans(events, Fault.MIRROR_OFF, Span(180, 240))
        lost = spans(events, Fault.LOST, Span(180, 270))
        self._lost = [(span, chance.choice(self._nodes)) for span in lost]

    def turn_off(self, span: Span) -> None:
        """From then to then the mesh does not mirror."""
        self._off.append(span)

    def is_off(self, at_s: float) -> bool:
        """Whether the mesh is not to mirror."""
        return any(span.has(at_s) for span in self._off)

    def copies(self, at_s: float) -> bool:
        """Whether the copy of a request is sent."""
        by_chance = self._chance.random() >= _ALWAYS_LOST
        outage = any(span.has(at_s) for span in self._outages)
        return by_chance and not outage and not self.is_off(at_s)

    def arrivals(self, one: Sent, at_s: float) -> list[float]:
        """When a record reaches the broker, in seconds; none: it never does."""
        if any(span.has(at_s) and node == one.node for span, node in self._lost):
            return []
        times = [at_s]
        if one.request_id and self._hit(self._late, at_s):
            times = [at_s + self._chance.uniform(0, 240)]
        if one.request_id and self._hit(self._repeated, at_s):
            times.append(at_s + self._chance.uniform(0, 120))
        return times

    def _hit(self, among: Sequence[Span], at_s: float) -> bool:
        return any(span.has(at_s) for span in among) and self._chance.random() < _SHARE


class Shipping(Thread):
    """Produces until it is told to stop; then everything is acknowledged.

    Args:
        bootstrap: Of the broker, which may be away for a while.
        topic: With `PARTITIONS`.
        clock: Whose time it is.
        begin_us: When traffic begins.
        length_s: How long it lasts; heartbeats go on.
        per_s: Requests a second.
        weather: What becomes of it.
        seed: Of the requests.
    """

    def __init__(
        self, bootstrap: str, topic: str, clock: SettableClock, begin_us: int, length_s: int,
        per_s: float, weather: Weather, seed: int,
    ) -> None:  # fmt: skip
        super().__init__(name="shipping", daemon=True)
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap, linger_ms=10, acks="all", delivery_timeout_ms=240_000
        )
        self._topic, self._clock, self._begin_us = topic, clock, begin_us
        self._length_s, self._per_s, self._weather = length_s, per_s, weather
        self._chance, self._ended = random.Random(seed), Stop()
        self._due: list[tuple[int, int, Sent]] = []
        self._number = self._requests = self._beats = 0
        self.truth, self.failed, self.records = Truth(), "", 0

    def run(self) -> None:
        while not self._ended.wait(_STEP_S):
            now_us = self._clock.now_us()
            self._make(now_us)
            while self._due and self._due[0][0] <= now_us:
                self._send(*heapq.heappop(self._due))
        for one in sorted(self._due):
            self._send(*one)
        self._producer.flush(240)
        self._producer.close()

    def end(self) -> None:
        """Stops."""
        self._ended.set()
        self.join(300)

    def _make(self, now_us: int) -> None:
        passed_s = (now_us - self._begin_us) / SECOND
        while self._requests < min(passed_s, self._length_s) * self._per_s:
            at_s = self._requests / self._per_s
            self._requests += 1
            copied = self._weather.copies(at_s)
            at_us = self._begin_us + int(at_s * SECOND)
            request_id, sent = request(self._chance, at_us, copied=copied)
            self.truth.at_us[request_id] = at_us
            if not copied:
                (self.truth.off if self._weather.is_off(at_s) else self.truth.uncopied).add(
                    request_id
                )
            self._queue(sent)
        while self._beats * _BEAT_S < passed_s + 30:
            self._queue(heartbeats(self._begin_us + (self._beats - 15) * _BEAT_S * SECOND))
            self._beats += 1

    def _queue(self, sent: Sequence[Sent]) -> None:
        for one in sent:
            for at_s in self._weather.arrivals(one, (one.at_us - self._begin_us) / SECOND):
                self._number += 1
                at_us = self._begin_us + int(at_s * SECOND)
                heapq.heappush(self._due, (at_us, self._number, one))

    def _send(self, at_us: int, _number: int, one: Sent) -> None:
        partition = partition_of(one.node, PARTITIONS)
        sent = self._producer.send(
            self._topic, one.value, partition=partition, timestamp_ms=at_us // 1000
        )
        sent.add_errback(self._note)
        self.records += 1

    def _note(self, error: BaseException) -> None:
        self.failed = f"{type(error).__name__}: {error}"


def wait_until(clock: SettableClock, at_us: int) -> None:
    """Waits until the clock shows a time."""
    while clock.now_us() < at_us:
        time.sleep(0.02)
