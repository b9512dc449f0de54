"""Batches that are read and not yet written, until the database has them for certain."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, SQLAlchemyError

from collector.batch import Batch, Totals
from collector.clock import Clock
from collector.db import positions
from collector.db.engine import as_our_error, reading
from collector.db.writes import Writer
from collector.errors import Fenced
from collector.log import get_logger
from collector.ownership import Ownership
from collector.sources.protocol import Partition, RecordSource


class Pending:
    """Writes batches once, whatever becomes of the connection meanwhile."""

    def __init__(self, engine: Engine, clock: Clock, writer: Writer, ownership: Ownership) -> None:
        self._engine = engine
        self._clock = clock
        self._writer = writer
        self._ownership = ownership
        self._log = get_logger(component="pending")
        self.batches: list[Batch] = []
        self.fenced_writes = 0
        self.totals = Totals()

    def add(self, batch: Batch) -> None:
        """Takes a batch that follows the last one of its partition."""
        self.batches.append(batch)

    def drop_foreign(self) -> None:
        """Drops what belongs to partitions that are not ours any more."""
        held = self._ownership.held
        self.batches = [batch for batch in self.batches if batch.partition in held]

    def write(self, source: RecordSource) -> dict[Partition, int]:
        """Writes everything in one transaction.

        Returns:
            The next offset of each partition that was written.

        Raises:
            Retryable, UsageError: The database; the batches are kept.
        """
        if not self.batches:
            return {}
        claims = {p: held.claim for p, held in self._ownership.held.items()}
        try:
            self._writer.write(self.batches, claims, self._clock.now_us())
        except Fenced as error:
            self.fenced_writes += 1
            self._log.warning("write_fenced", error=str(error))
            self._sort_out(source)
            return {}
        except DataError as error:
            self._stop_refused(error, source)
            return {}
        written = {batch.partition: batch.to_offset for batch in self.batches}
        stopped = {batch.partition: batch.stop_reason for batch in self.batches}
        self._count(self.batches)
        self.batches = []
        for partition, reason in stopped.items():
            if reason:
                self._log.error("partition_stopped", partition=str(partition), reason=reason)
                self._ownership.set_aside(partition, source)
        return written

    def _count(self, written: list[Batch]) -> None:
        for batch in written:
            self.totals.add(batch)

    def _sort_out(self, source: RecordSource) -> None:
        """After a fenced write: what is written already, what is somebody else's, what remains."""
        last = {batch.partition: batch.to_offset for batch in self.batches}
        try:
            with reading(self._engine) as connection:
                found = {p: positions.standing(connection, p) for p in last}
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
        first = {batch.partition: batch.from_offset for batch in reversed(self.batches)}
        for partition, to_offset in last.items():
            epoch = self._ownership.held[partition].claim.epoch
            if found[partition] == (epoch, to_offset):
                # The commit went through and only its answer was lost.
                self._log.info("write_was_done", partition=str(partition))
                self._count([b for b in self.batches if b.partition == partition])
                self.batches = [b for b in self.batches if b.partition != partition]
            elif found[partition] != (epoch, first[partition]):
                self._log.error("partition_fenced", partition=str(partition))
                self._ownership.set_aside(partition, source)
        self.drop_foreign()

    def _stop_refused(self, error: DataError, source: RecordSource) -> None:
        """The database refuses a value that should have been made fit: nothing may be skipped.

        Which partition it came from is found by writing each alone.
        """
        batches, self.batches = self.batches, []
        reason = f"the database refuses a row: {as_our_error(error, self._engine.url)}"
        partitions = {batch.partition for batch in batches}
        if len(partitions) == 1:
            self._ownership.stop(partitions.pop(), reason, source)
            return
        for partition in sorted(partitions):
            self.batches = [batch for batch in batches if batch.partition == partition]
            self.write(source)
