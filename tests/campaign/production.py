"""Produces records as long as the campaign lasts, and keeps the ledger of what the broker took."""

from __future__ import annotations

import random
from pathlib import Path
from threading import Event, Thread
from typing import Final

from kafka import KafkaProducer

from tests.campaign.ledger import Ledger
from tests.campaign.lines import Traffic

_TOGETHER: Final = 250
"""Records sent before their acknowledgements are waited for."""
_ACKNOWLEDGED_S: Final = 60.0


class Production(Thread):
    """A producer; start it, `allow` it more and more, and at last `finish` it.

    Attributes:
        records: How many the broker took.
        lines: How many lines were in them.
        failed: Why it ended too early, None: it did not.
    """

    def __init__(
        self, bootstrap: str, topic: str, partitions: int, ledger: Path, seed: int
    ) -> None:
        super().__init__(name="production", daemon=True)
        self._brokers, self._topic, self._partitions = bootstrap, topic, partitions
        self._ledger_file = ledger
        self._traffic, self._chance = Traffic(seed), random.Random(seed)
        self._allowed = 0
        self._at_least = 0
        self._ended, self._more = Event(), Event()
        self.records = 0
        self.lines = 0
        self.failed: BaseException | None = None

    def allow(self, records: int) -> None:
        """Raises the number of records that may be there in all."""
        self._allowed = max(self._allowed, records)
        self._more.set()

    def finish(self, lines: int) -> None:
        """Lets it end when there are so many lines."""
        self._at_least = lines
        self._ended.set()
        self._more.set()

    def run(self) -> None:
        """The thread."""
        try:
            with Ledger(self._ledger_file) as ledger:
                producer = KafkaProducer(
                    bootstrap_servers=self._brokers,
                    acks="all",
                    linger_ms=5,
                    batch_size=65_536,
                )
                try:
                    while not (self._ended.is_set() and self.lines >= self._at_least):
                        if self._ended.is_set() or self.records < self._allowed:
                            self._produce(producer, ledger)
                        else:
                            self._more.wait(0.5)
                            self._more.clear()
                finally:
                    producer.close()
        except BaseException as error:
            self.failed = error
            raise

    def _produce(self, producer: KafkaProducer, ledger: Ledger) -> None:
        sent = []
        for made in self._traffic.records(_TOGETHER):
            partition = self._chance.randrange(self._partitions)
            future = producer.send(self._topic, made.value, partition=partition)
            sent.append((partition, made.lines, future))
        producer.flush(timeout=_ACKNOWLEDGED_S)
        ledger.add(
            (p, future.get(timeout=0).offset, lines)  # type: ignore[no-untyped-call]
            for p, lines, future in sent
        )
        self.records += len(sent)
        self.lines += sum(len(lines) for _, lines, _ in sent)
