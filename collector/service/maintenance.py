"""The job beside the collector that keeps the database in order: retention, indexes, partitions.

One process does it at a time on PostgreSQL (an advisory lock). Each of its transactions is short
and locks nobody out; what it leaves undone, the next run does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import Final

import msgspec
from sqlalchemy import Column, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import Clock
from collector.db import retention, unseen
from collector.db.engine import as_our_error, reading
from collector.db.kept import lines_kept_from
from collector.db.partitions import Part, Partitions, Slot, list_parts
from collector.db.retention import Aging
from collector.db.tables import batch
from collector.db.unseen import Unseen
from collector.db.upkeep import Upkeep, full, keeping
from collector.errors import MirrorproofError
from collector.log import get_logger
from collector.reader import MAX_LATE_US

_REST_S: Final = 0.05
"""Between two portions, so that the writer of SQLite gets its turn."""

_SUMMARY_S: Final = 10.0
"""What came later is read whole for each request that somebody looks up."""


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are kept, in µs; 0: for ever.

    Attributes:
        lines_us: Lines.
        unsettled_us: Lines that are not settled yet; at least `lines_us`.
        nodes_us: Nodes without any sign of life.
        tables: Tables with rows that age.
        needed_us: Tells from which ingest time on lines are needed to settle what is not settled
            yet; None: nobody settles.
        summaries: Tables with few rows and no number: the column that tells their time, and how
            long they are kept.
        numbers: Tables of numbers, which go when no line names them any more.
    """

    lines_us: int
    unsettled_us: int
    nodes_us: int
    tables: Sequence[Aging]
    needed_us: Callable[[Connection], int | None] = lambda _: None
    summaries: Sequence[tuple[Column[int], int]] = ()
    numbers: Sequence[Unseen] = ()


class Report(msgspec.Struct):
    """What a run did, or would do.

    Attributes:
        busy: Another process is at it; nothing was done.
        dropped: How many rows are gone, by table; of lines on PostgreSQL, how many partitions.
        indexed: Indexes that were built.
        put_off: What could not be done now, and is tried again by the next run.
        unsettled_us: Lines are dropped that were never settled, ingested until then; None: none.
        kept_from_us: All lines that start then or later are kept; None: all.
    """

    busy: bool = False
    dropped: dict[str, int] = {}
    indexed: list[str] = []
    put_off: list[str] = []
    unsettled_us: int | None = None
    kept_from_us: int | None = None


class Maintenance:
    """Keeps one database in order.

    Args:
        engine: The database, migrated.
        clock: Where the time comes from.
        ages: How long things are kept.
        slot: How much time a partition covers.
        every_s: Seconds between two runs.
    """

    def __init__(
        self, engine: Engine, clock: Clock, ages: Ages, slot: Slot, every_s: float = 60.0
    ) -> None:
        self._engine: Final = engine
        self._clock: Final = clock
        self._ages: Final = ages
        self._partitions: Final = Partitions(engine, slot)
        self._every_s: Final = every_s
        self._log = get_logger(component="maintenance")

    def run(self, stop: Event) -> None:
        """Runs until `stop` is set. A run that fails is logged, and tried again later."""
        rest_s = self._every_s
        while not self._clock.wait(stop, step_s := min(rest_s, _SUMMARY_S)):
            rest_s = rest_s - step_s or self._every_s
            try:
                if rest_s == self._every_s:
                    self._tell(self.once(stop))
                else:
                    self.summarize()
            except MirrorproofError as error:
                self._log.warning("maintenance_failed", error=str(error))
            except Exception:
                # Lines must go on being stored, whatever is wrong here.
                self._log.exception("maintenance_broken")

    def summarize(self) -> None:
        """Has new lines known to the filters that find one request; PostgreSQL only.

        Raises:
            Retryable, UsageError: The database.
        """
        if self._engine.dialect.name != "postgresql":
            return
        now_us = self._clock.now_us()
        try:
            with reading(self._engine) as connection:
                parts = [part for part in list_parts(connection) if part.begin_us <= now_us]
            with keeping(self._engine) as upkeep:
                if upkeep is not None:
                    for part in set(parts).difference(full(parts, now_us)):
                        upkeep.summarize(part)
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error

    def once(self, stop: Event | None = None, *, dry_run: bool = False) -> Report:
        """One run.

        Args:
            stop: Ends it early, in good order.
            dry_run: Only say what would be done.

        Raises:
            Retryable, UsageError: The database.
        """
        report = Report()
        try:
            one = _Run(self._engine, self._clock, self._ages, stop or Event(), report)
            if dry_run:
                one.look()
            else:
                self._partitions.cover(self._clock.now_us())
                one.keep()
            with reading(self._engine) as connection:
                report.kept_from_us = lines_kept_from(connection)
        except SQLAlchemyError as error:
            raise as_our_error(error, self._engine.url) from error
        return report

    def _tell(self, report: Report) -> None:
        if report.unsettled_us is not None:
            self._log.error("unsettled_lines_dropped", ingested_before_us=report.unsettled_us)
        if any(report.dropped.values()) or report.indexed:
            self._log.info("maintained", dropped=report.dropped, indexed=report.indexed)
        if report.put_off:
            self._log.warning("maintenance_put_off", statements=report.put_off)


class _Run:
    """One run."""

    def __init__(
        self, engine: Engine, clock: Clock, ages: Ages, stop: Event, report: Report
    ) -> None:
        self._engine: Final = engine
        self._clock: Final = clock
        self._ages: Final = ages
        self._stop: Final = stop
        self._report: Final = report
        self._now_us: Final = clock.now_us()
        self._on_postgresql: Final = engine.dialect.name == "postgresql"
        with reading(engine) as connection:
            self._needed_us: Final = ages.needed_us(connection)
        self._before_us: Final = self._lines_before_us()

    def keep(self) -> None:
        """Does all that is due."""
        if self._on_postgresql:
            with keeping(self._engine) as upkeep:
                self._report.busy = upkeep is None
                if upkeep is not None:
                    self._keep_partitions(upkeep)
                    self._drop_rows()
                    self._report.put_off = upkeep.put_off
        else:
            self._note("lines", retention.drop_lines(self._engine, self._before_us, self._rest))
            self._drop_rows()
            retention.tidy_file(self._engine)

    def look(self) -> None:
        """Counts what `keep` would drop."""
        if self._on_postgresql:
            self._note("partitions", len(self._old_parts()))
        else:
            self._note("lines", retention.count_lines(self._engine, self._before_us))
        with reading(self._engine) as connection:
            for aging in self._ages.tables:
                number = retention.count_rows(connection, aging, self._rows_before_us(aging))
                self._note(aging.name, number)
            before_us = self._unseen_before_us()
            for one in self._ages.numbers:
                self._note(one.table.name, unseen.count_unseen(connection, one, before_us))

    def _keep_partitions(self, upkeep: Upkeep) -> None:
        self._note("partitions", len(upkeep.finish()))
        for part in self._old_parts():
            self._note("partitions", int(upkeep.drop(part)))
            if self._rest():
                return
        parts = [part for part in self._parts() if not part.leaving]
        closed = full(parts, self._now_us)
        for part in parts:
            built = upkeep.index(part) if part in closed else []
            self._report.indexed += built
            if built or part not in closed:
                upkeep.summarize(part)
            if self._rest():
                return

    def _parts(self) -> list[Part]:
        with reading(self._engine) as connection:
            return list_parts(connection)

    def _old_parts(self) -> list[Part]:
        return [p for p in self._parts() if p.end_us <= self._before_us and not p.leaving]

    def _lines_before_us(self) -> int:
        """Lines that were ingested before then go, µs."""
        ages = self._ages
        if not ages.lines_us:
            return 0
        before_us = self._now_us - ages.lines_us
        if self._needed_us is None:
            return before_us
        at_last_us = self._now_us - ages.unsettled_us if ages.unsettled_us else 0
        return min(before_us, max(at_last_us, self._needed_us))

    def _drop_rows(self) -> None:
        for aging in self._ages.tables:
            before_us = self._rows_before_us(aging)
            self._note(aging.name, retention.drop_rows(self._engine, aging, before_us, self._rest))
        for column, keep_us in self._ages.summaries:
            if keep_us:
                retention.drop_summaries(self._engine, column, self._now_us - keep_us)
        if self._ages.nodes_us:
            lines_us = self._oldest_line_us()
            before_us = min(self._now_us - self._ages.nodes_us, lines_us)
            # Lines of some time are ingested up to so much earlier, where clocks are ahead.
            retention.forget_nodes(self._engine, before_us, lines_us - MAX_LATE_US)
        self._drop_numbers()

    def _drop_numbers(self) -> None:
        before_us = self._unseen_before_us()
        for one in self._ages.numbers:
            unseen.date_unknown(self._engine, one, self._now_us)
            dropped = unseen.drop_unseen(self._engine, one, before_us, self._rest)
            if dropped is None:
                self._report.put_off.append(f"rows of {one.table.name}")
            self._note(one.table.name, dropped or 0)

    def _unseen_before_us(self) -> int:
        lines_us, oldest_us = self._ages.lines_us, self._oldest_line_us()
        return unseen.unseen_before_us(self._now_us, lines_us, oldest_us)

    def _rows_before_us(self, aging: Aging) -> int:
        """Rows of a table that were written before then go, µs."""
        if not aging.keep_us:
            return 0
        before_us = self._now_us - aging.keep_us
        # A line names its batch, which says where it was read.
        return min(before_us, self._oldest_line_us()) if aging.table is batch else before_us

    def _oldest_line_us(self) -> int:
        """No stored line was ingested before that time, µs."""
        if self._on_postgresql:
            return min((part.begin_us for part in self._parts()), default=self._now_us)
        with reading(self._engine) as connection:
            found = retention.oldest_line_us(connection)
        return self._now_us if found is None else found

    def _note(self, table: str, dropped: int) -> None:
        self._report.dropped[table] = self._report.dropped.get(table, 0) + dropped
        of_lines = dropped and table in ("lines", "partitions")
        if of_lines and self._needed_us is not None and self._before_us > self._needed_us:
            self._report.unsettled_us = self._before_us

    def _rest(self) -> bool:
        return self._clock.wait(self._stop, 0.0 if self._on_postgresql else _REST_S)
