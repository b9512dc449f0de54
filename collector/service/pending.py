"""Batches that are read and not yet written, until the database has them for certain.

They are written on a thread of its own, so that reading goes on while the database works. One
transaction is under way at a time, and nobody else uses the database meanwhile: whoever needs it
takes the outcome first.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.batch import Batch, Seen, Totals
from collector.clock import Clock
from collector.db import positions
from collector.db.engine import as_our_error, reading
from collector.db.writes import MOST_REFUSED, Writer
from collector.errors import Fenced, RowRefused
from collector.log import get_logger
from collector.service.ownership import Ownership
from collector.sources.protocol import Partition, RecordSource


class Pending:
    """Writes batches once, whatever becomes of the connection meanwhile.

    Args:
        engine: The database.
        clock: Where the time comes from.
        writer: Writes them.
        ownership: Our partitions.
        aside: Runs the writing; by one thread.

    Attributes:
        fenced_writes: How many writes hit a partition of somebody else.
        totals: Of all that was written.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        writer: Writer,
        ownership: Ownership,
        aside: Executor,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._writer = writer
        self._ownership = ownership
        self._aside = aside
        self._log = get_logger(component="pending")
        self._first: list[Batch] = []  # what is under way, or failed and is tried again
        self._later: list[Batch] = []
        self._under_way: Future[None] | None = None
        self.fenced_writes = 0
        self.totals = Totals()

    def __bool__(self) -> bool:
        """Whether there is anything that is not known to be written."""
        return bool(self._first or self._later)

    def add(self, batch: Batch) -> None:
        """Takes a batch that follows the last one of its partition."""
        self._later.append(batch)

    def waiting(self) -> int:
        """How many lines wait for their turn, besides those that are being written."""
        return sum(batch.read for batch in self._later)

    @property
    def is_writing(self) -> bool:
        """Whether a transaction is under way: the database is not to be used by others."""
        return self._under_way is not None and not self._under_way.done()

    def begin(self) -> None:
        """Has everything written from now on, unless a write's outcome is still to be taken."""
        if self._under_way is not None:
            return
        if not self._first:
            self._first, self._later = self._later, []
        if self._first:
            self._under_way = self._submit()

    def finish(self, source: RecordSource) -> dict[Partition, int]:
        """Waits for what is under way, and takes the outcome.

        Returns:
            The next offset of each partition that was written.

        Raises:
            Retryable, UsageError: The database; the batches are kept.
            Outdated: They are to be read again.
        """
        if self._under_way is None:
            return {}
        try:
            return self._take(self._under_way, source)
        finally:
            self._under_way = None
            # What was set aside meanwhile is not ours any more.
            self.drop_foreign()

    def write(self, source: RecordSource) -> dict[Partition, int]:
        """Writes everything, and waits for it. As `finish`, of all that was written."""
        written = self.finish(source)
        for _ in range(2):  # what failed before goes first, by itself
            self.begin()
            written |= self.finish(source)
        return written

    def drop_foreign(self) -> None:
        """Drops what belongs to partitions that are not ours any more; nothing is under way."""
        held = self._ownership.held
        self._first = [batch for batch in self._first if batch.partition in held]
        self._later = [batch for batch in self._later if batch.partition in held]

    def _submit(self) -> Future[None]:
        claims = {p: held.claim for p, held in self._ownership.held.items()}
        return self._aside.submit(self._writer.write, self._first, claims, self._clock.now_us())

    def _take(self, write: Future[None], source: RecordSource) -> dict[Partition, int]:
        try:
            write.result()
        except Fenced as error:
            self.fenced_writes += 1
            self._log.warning("write_fenced", error=str(error))
            self._sort_out(source)
            return {}
        except RowRefused as error:
            return self._write_without_refused(error, source)
        return self._written(source)

    def _written(self, source: RecordSource) -> dict[Partition, int]:
        written = {batch.partition: batch.to_offset for batch in self._first}
        stopped = {batch.partition: batch.stop_reason for batch in self._first}
        self._count(self._first)
        self._first = []
        for partition, reason in stopped.items():
            if reason:
                self._log.error("partition_stopped", partition=str(partition), reason=reason)
                self._ownership.set_aside(partition, source, reason)
        return written

    def _count(self, written: list[Batch]) -> None:
        for batch in written:
            self.totals.add(batch)

    def _sort_out(self, source: RecordSource) -> None:
        """After a fenced write: what is written already, what is somebody else's, what remains."""
        last = {batch.partition: batch.to_offset for batch in self._first}
        try:
            with reading(self._engine) as connection:
                found = {p: positions.standing(connection, p) for p in last}
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
        first = {batch.partition: batch.from_offset for batch in reversed(self._first)}
        for partition, to_offset in last.items():
            epoch = self._ownership.held[partition].claim.epoch
            if found[partition] == (epoch, to_offset):
                # The commit went through and only its answer was lost.
                self._log.info("write_was_done", partition=str(partition))
                self._count([b for b in self._first if b.partition == partition])
                self._first = [b for b in self._first if b.partition != partition]
            elif found[partition] == (epoch, first[partition]):
                pass
            elif _went_back(found[partition], epoch, first[partition]):
                # It lost what it had committed last: rows and offset together.
                self._log.warning("database_went_back", partition=str(partition))
                self._ownership.begin_again(partition, source)
            else:
                self._log.error("partition_fenced", partition=str(partition))
                self._ownership.set_aside(partition, source)
        self.drop_foreign()

    def _write_without_refused(
        self, error: RowRefused, source: RecordSource
    ) -> dict[Partition, int]:
        """Quarantines the rows that the database does not take, and writes the others.

        Where the fault is not in single rows, the partition stops: nothing may be skipped.
        """
        seen = [seen for batch in self._first for seen in batch.seen]
        refused = self._writer.refused(seen, self._clock.now_us(), MOST_REFUSED)
        if 0 < len(refused) <= MOST_REFUSED:
            self._log.error("rows_refused", rows=len(refused), error=refused[0][1])
            self._quarantine(refused)
            return self._take(self._submit(), source)
        partitions = sorted({batch.partition for batch in self._first})
        if len(partitions) == 1:
            self._ownership.stop(partitions[0], str(error), source)
            self._first = []
            return {}
        return self._write_one_by_one(partitions, source)

    def _write_one_by_one(
        self, partitions: list[Partition], source: RecordSource
    ) -> dict[Partition, int]:
        batches, written = self._first, dict[Partition, int]()
        for place, partition in enumerate(partitions):
            self._first = [one for one in batches if one.partition == partition]
            try:
                written |= self._take(self._submit(), source)
            finally:
                later = partitions[place + 1 :]
                self._first += [one for one in batches if one.partition in later]
        return written

    def _quarantine(self, refused: list[tuple[Seen, str]]) -> None:
        reasons = {id(seen): why for seen, why in refused}
        for batch in self._first:
            found = [(seen, reasons.get(id(seen))) for seen in batch.seen]
            batch.poison += [seen.refused(why) for seen, why in found if why is not None]
            batch.seen = [seen for seen in batch.seen if id(seen) not in reasons]


def _went_back(standing: tuple[int, int] | None, epoch: int, from_offset: int) -> bool:
    """Whether a partition that is still ours stands before what we know to be written."""
    return standing is not None and standing[0] == epoch and standing[1] < from_offset
