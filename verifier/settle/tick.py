"""One tick: everything that is due, in one transaction. DESIGN 5.2."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from collector.db.acknowledged import confirm
from collector.db.tables import batch
from verifier.settle import drift, kept, late, markers, report
from verifier.settle.answers import Answers
from verifier.settle.cast import Cast, Directory
from verifier.settle.clocks import Lesson
from verifier.settle.late import NewBatch
from verifier.settle.next_group import next_group
from verifier.settle.progress import Progress, progress_of, save_progress
from verifier.settle.recheck import recheck_us, renamed, revived
from verifier.settle.record import Moment, Recorder, Settled
from verifier.settle.silence import HOUR_US, Silence
from verifier.settle.span import Judge
from verifier.settle.versions import Version, Versions, VersionStore
from verifier.settle.watermark import FOREVER_US, EvidenceRules, Watermark
from verifier.settle.windows import Grid, Span, due_until, joined


class TickRules(msgspec.Struct, frozen=True, kw_only=True):
    """How windows are settled. Times in µs.

    Attributes:
        window_us: Their size: whole seconds.
        evidence: How long the brokers' word counts.
        max_windows: Most windows of a policy in one tick, new ones and as many again.
        max_findings: Most findings of a window that are stored; all are counted.
    """

    window_us: int
    evidence: EvidenceRules
    max_windows: int = 12
    max_findings: int = 1_000


class Ticked(msgspec.Struct, frozen=True):
    """What a tick did.

    Attributes:
        watermark: Up to when event time is complete.
        settled: The revisions that were written, in order.
        more: Whether something that is due was left for the next tick.
        batches: The batches that it found new.
        versions: The policy versions that it went by.
    """

    watermark: Watermark
    settled: list[Settled]
    more: bool
    batches: list[NewBatch]
    versions: Versions


class Ticker:
    """Settles what is due. Keeps only what never changes between ticks.

    Args:
        rules: How windows are settled.
        set_wise: Whether ordinary keys may be judged in the database; tests say no.
    """

    def __init__(self, rules: TickRules, *, set_wise: bool = True) -> None:
        self._rules: Final = rules
        self._set_wise: Final = set_wise
        self._store = VersionStore()
        self._directory = Directory()
        self._casts: dict[int, Cast] = {}
        self._edition = 0

    def tick(self, connection: Connection, now_us: int) -> Ticked:
        """Settles what is due, inside the caller's transaction.

        Args:
            connection: One snapshot: REPEATABLE READ, or BEGIN IMMEDIATE on SQLite.
            now_us: The database's clock.
        """
        confirm(connection, now_us)
        watermark = report.watermark(connection, now_us, self._rules.evidence)
        versions = self._store.read(connection)
        if versions.waiting:
            # Some collector does not watch a change yet; it has a minute. Nothing is judged by
            # half, and the cursors stay.
            return Ticked(watermark, [], more=False, batches=[], versions=versions)
        self._directory.refresh(connection)
        is_renamed = self._directory.edition != self._edition
        if is_renamed:
            self._casts.clear()
            self._edition = self._directory.edition
        batches = late.new_batches(connection)
        late.note_pods(connection, batches)
        time_us = -1 if watermark.time_us is None else watermark.time_us
        judge = Judge(
            connection,
            versions,
            self._directory,
            self._casts,
            limit=self._rules.max_findings,
            set_wise=self._set_wise,
            complete_us=time_us,
        )
        one = _Tick(
            connection,
            self._rules,
            versions,
            judge,
            Recorder(connection, self._directory.pods, Moment(time_us, now_us)),
            now_us,
        )
        for name in versions.mirrored():
            one.settle(name, watermark.time_us, batches, is_renamed=is_renamed)
        late.advance(connection, batches)
        one.more |= drift.advance(connection, versions, one.settled)
        Answers(connection, versions, self._directory, judge).take(one.settled)
        return Ticked(watermark, one.settled, one.more, batches, versions)


class _Tick:
    """The state of one tick."""

    def __init__(
        self,
        connection: Connection,
        rules: TickRules,
        versions: Versions,
        judge: Judge,
        recorder: Recorder,
        now_us: int,
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._versions = versions
        self._judge = judge
        self._recorder = recorder
        self._now_us = now_us
        self.settled: list[Settled] = []
        self.more = False

    def settle(
        self, name: str, watermark_us: int | None, batches: list[NewBatch], *, is_renamed: bool
    ) -> None:
        """Settles one policy: what late lines and labels touched, then what is due."""
        hosts = self._judge.hosts_of(name)
        progress = progress_of(self._connection, name)
        horizon_us = self._horizon_us(name)
        judged_us = self._judged_us(name)
        if progress is not None:
            first_us = kept.first_window_us(progress.grid, judged_us)
            kept.count_too_late(self._connection, name, batches, hosts, first_us)
            clocks = self._judge.clocks(name)
            starts = late.touched(
                self._connection, name, batches, hosts, progress, horizon_us, clocks
            )
            silence_at = partial(self._silence_at, name)
            complete_us = -1 if watermark_us is None else watermark_us
            starts |= {*revived(self._connection, name, first_us, complete_us, silence_at)}
            if is_renamed:
                since_us = max(first_us, progress.settled_to_us - HOUR_US)
                starts |= renamed(self._connection, name, since_us, progress, horizon_us, clocks)
            late.enqueue(self._connection, name, {one for one in starts if one >= first_us})
            self._settle_again(name, progress.grid, first_us)
        if watermark_us is not None and hosts:
            self._settle_due(name, hosts, progress, watermark_us, judged_us)

    def _horizon_us(self, name: str) -> int:
        return max(v.policy.rules.horizon_us for v in self._versions.of(name))

    def _judged_us(self, name: str) -> int:
        """Windows that start then or later have all their lines."""
        return kept.judged_from_us(self._connection, self._horizon_us(name))

    def _settle_again(self, name: str, grid: Grid, first_us: int) -> None:
        """Settles windows anew, but for those before the first that has all its lines."""
        limit = self._rules.max_windows
        starts = late.queued(self._connection, name, limit + 1)
        self.more |= len(starts) > limit
        starts = starts[:limit]
        again = (grid.window(start) for start in starts if start >= first_us)
        for group in joined(again, limit):
            self._settle_group(name, group)
        late.dequeue(self._connection, name, starts)

    def _settle_due(
        self,
        name: str,
        hosts: list[int],
        progress: Progress | None,
        watermark_us: int,
        judged_us: int,
    ) -> None:
        size = self._rules.window_us
        if progress is None:
            progress = Progress(kept.NEVER_US, Grid([(0, size)]))
        else:
            grid = progress.grid.resized(progress.settled_to_us, size)
            progress = Progress(progress.settled_to_us, grid)
        due = self._due(name, progress.grid, watermark_us)
        settled_to = self._pass_over(name, progress, due, judged_us)
        for _ in range(self._rules.max_windows):
            if settled_to >= due:
                break
            more_us = self._judge.clocks(name).most_us
            span = Span(settled_to, due)
            group = next_group(
                self._connection, hosts, progress.grid, span, more_us, self._rules.max_windows
            )
            if not group:
                settled_to = due
                break
            self._learn_clocks(name, hosts, progress, Span(group[0].start_us, group[-1].end_us))
            self._settle_group(name, group)
            settled_to = group[-1].end_us
            if len(group) >= self._rules.max_windows:
                break
        self.more |= settled_to < due
        if settled_to > progress.settled_to_us:
            save_progress(self._connection, name, Progress(settled_to, progress.grid))

    def _pass_over(self, name: str, progress: Progress, due_us: int, judged_us: int) -> int:
        """Where to go on settling: what was dropped unsettled is noted, and passed over."""
        settled_to_us = progress.settled_to_us
        first_us = min(kept.first_window_us(progress.grid, judged_us), due_us)
        if judged_us == kept.NEVER_US or first_us <= settled_to_us:
            return settled_to_us
        if settled_to_us != kept.NEVER_US:
            kept.note_unsettled(self._connection, name, settled_to_us, first_us, self._now_us)
        return first_us

    def _due(self, name: str, grid: Grid, watermark_us: int) -> int:
        grace = max(version.policy.rules.grace_us for version in self._versions.of(name))
        if watermark_us >= FOREVER_US:
            # Only files, read to their end: all that there is is due.
            last = self._connection.scalar(select(func.max(batch.c.max_start_us)))
            return kept.NEVER_US if last is None else grid.window(last).end_us
        return due_until(watermark_us, grace, grid)

    def _learn_clocks(self, name: str, hosts: list[int], progress: Progress, span: Span) -> None:
        """Learns from what is judged next; what was judged by other clocks is judged again."""
        is_first = progress.settled_to_us == kept.NEVER_US
        lesson = Lesson(name, hosts, span, self._now_us, is_first)
        since_us = self._judge.learn_clocks(lesson)
        if since_us is None or is_first:
            return
        grid = progress.grid
        first_us = max(since_us, kept.first_window_us(grid, self._judged_us(name)))
        again = {window.start_us for window in grid.windows(Span(first_us, span.start_us))}
        late.enqueue(self._connection, name, again)

    def _settle_group(self, name: str, group: list[Span]) -> None:
        span = Span(group[0].start_us, group[-1].end_us)
        tallies = self._judge.settle(name, span, group[0].end_us - group[0].start_us)
        for window in group:
            version = self._version_at(name, window.end_us - 1)
            if version is None:
                continue
            tally = tallies.get(window.start_us) or self._judge.nothing()
            wait_us = recheck_us(version, self._judge.silence, tally)
            done = self._recorder.record(version, window, tally, wait_us)
            if done is not None:
                self.settled.append(done)
                markers.note(self._connection, done, tally.markers)

    def _version_at(self, name: str, time_us: int) -> Version | None:
        """The version in force at a time, or the one before it."""
        found = self._versions.era(time_us).versions.get(name)
        if found is None:
            earlier = [v for v in self._versions.of(name) if v.from_us <= time_us]
            found = earlier[-1] if earlier else None
        return found

    def _silence_at(self, name: str, time_us: int) -> Silence | None:
        version = self._version_at(name, time_us)
        return None if version is None else self._judge.silence(version)
