"""Asks the brokers how far the partitions reach: the evidence of lag, and of what went wrong.

A client library can look healthy and read nothing; a topic can be created again under us. Both
show here, where the broker's word is compared with ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.batch import Batch
from collector.clock import Clock
from collector.db import positions
from collector.db.engine import as_our_error, writing
from collector.log import get_logger
from collector.service.loss import loss
from collector.service.ownership import Held, Ownership
from collector.service.pending import Pending
from collector.sources.protocol import Bounds, Partition, RecordSource, Stuck


class LagCheck:
    """Compares positions with the brokers' end offsets, every few seconds.

    Args:
        engine: The database.
        clock: Where the time comes from.
        ownership: Our partitions.
        pending: Takes the empty batches over records that readers never see.
        every_s: How often to ask, seconds.
        stall_s: How long a partition may bring nothing although it has records, seconds.

    Attributes:
        lag: How many records each of our partitions is behind.
        hopeless: What stands still although the source was replaced; empty: nothing.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        ownership: Ownership,
        pending: Pending,
        *,
        every_s: float,
        stall_s: float,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._ownership = ownership
        self._pending = pending
        self._every_s = every_s
        self._stall_s = stall_s
        self._due_s = 0.0
        self._tries: dict[Partition, tuple[int, int]] = {}
        self._log = get_logger(component="lag")
        self.lag: dict[Partition, int] = {}
        self.hopeless = ""

    def is_due(self) -> bool:
        """Whether it is time to ask again."""
        return bool(self._ownership.held) and self._clock.monotonic() >= self._due_s

    def run(self, source: RecordSource, policy_version_id: int) -> bool:
        """Asks, when it is time, and writes down the answer. Returns whether it was time.

        Args:
            source: Whose brokers to ask.
            policy_version_id: What is watched now.

        Raises:
            Stuck: The source must be replaced.
            Retryable: A server did not answer.
            UsageError: The database refuses us.
        """
        held = self._ownership.held
        for partition in self._tries.keys() - held.keys():
            self._moved(partition)  # to somebody else
        if not self.is_due():
            return False
        self._due_s = self._clock.monotonic() + self._every_s
        bounds = source.bounds(held)
        self._record(bounds)
        self.lag = {p: b.end - held[p].read_next for p, b in bounds.items() if p in held}
        for partition, found in bounds.items():
            if partition in held:
                self._check(partition, held[partition], found, source, policy_version_id)
        return True

    def _record(self, bounds: Mapping[Partition, Bounds]) -> None:
        claims = [held.claim for held in self._ownership.held.values()]
        try:
            with writing(self._engine) as connection:
                positions.record_ends(connection, claims, bounds, self._clock.now_us())
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error

    def _check(
        self, partition: Partition, held: Held, bounds: Bounds, source: RecordSource, version: int
    ) -> None:
        reason = self._why_lost(partition, held, bounds, source)
        if reason:
            self._ownership.stop(partition, reason, source)
            self._pending.drop_foreign()
            return
        read_to = source.read_to(partition)
        if read_to is not None and held.read_next < read_to <= bounds.end:
            # Transaction markers and compacted records: move over them, or the lag never ends.
            self._pending.add(Batch(partition, held.read_next, read_to, version))
            held.read_next, held.leader_epoch = read_to, None
        now_s = self._clock.monotonic()
        _, stood_at = self._tries.get(partition, (0, held.read_next))
        if bounds.end <= held.read_next or held.read_next != stood_at:
            self._moved(partition)
        if bounds.end <= held.read_next:
            held.moved_s = now_s
        elif now_s - held.moved_s > self._stall_s:
            self._unstall(partition, held, source, now_s)

    def _moved(self, partition: Partition) -> None:
        if self._tries.pop(partition, None) and not self._tries:
            self.hopeless = ""

    def _why_lost(
        self, partition: Partition, held: Held, bounds: Bounds, source: RecordSource
    ) -> str:
        # Reading is ahead of the claim; expired records between both were read before.
        ahead = positions.Claim(partition, held.claim.epoch, held.read_next, held.claim.topic_id)
        return loss(ahead, bounds, source.topic_id(partition.topic))

    def _unstall(
        self, partition: Partition, held: Held, source: RecordSource, now_s: float
    ) -> None:
        """Seeks a partition that hangs; then has the source replaced; then gives up hope."""
        tries, _ = self._tries.get(partition, (0, 0))
        self._tries[partition] = (tries + 1, held.read_next)
        held.moved_s = now_s
        if tries == 0:
            self._log.warning("partition_stalled", partition=str(partition), offset=held.read_next)
            source.begin(partition, held.read_next, held.leader_epoch)
            return
        words = f"{partition} brings nothing from offset {held.read_next} on, and it has records"
        if tries > 1:
            self.hopeless = f"{words}; another client did not help"
        raise Stuck(words)
