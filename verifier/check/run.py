"""One run of `check`: both passes on all cores, and what comes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from collector.errors import InputError
from collector.formats.parse import Format, ReadLine
from collector.records import Identity
from verifier.check.answers import compare
from verifier.check.clocks import learn, shift
from verifier.check.evidence import (
    PolicyEvidence,
    logs_only_errors,
    speaks_tls,
    unreadable,
    weigh,
)
from verifier.check.plan import Plan
from verifier.check.pool import map_tasks
from verifier.check.records import shares
from verifier.check.reduce import Reducer
from verifier.check.scan import Scanner
from verifier.check.scanned import LineCounts, Scanned
from verifier.check.sources import Chunk, Source, chunks, open_sources
from verifier.pairing.context import (
    settle_filtered,
    settle_log_loss,
    settle_surplus,
    settle_unreadable,
)
from verifier.pairing.tally import Tally
from verifier.policies.model import Policy
from verifier.sides import mirror_destinations
from verifier.statistics.divergence import Endpoint, judge_endpoints

_SMALL_BYTES: Final = 8 * 1024 * 1024  # below it, starting workers takes longer than the work
_SHARE_BYTES: Final = 16 * 1024 * 1024  # of input; a share of the keys then fits into 100 MB

Progress = Callable[[str, int, int], None]
"""Told (stage, done, total): bytes while reading, shares while judging."""


class Outcome(msgspec.Struct):
    """All that a run found.

    Attributes:
        policies: As given.
        tallies: One for each policy.
        endpoints: How answers differ, for each policy.
        lines: How every line ended.
        sources: The logs.
        chunks: Where each chunk of them is.
        first_lines: Number of the first line of each chunk in its file, from 1.
        pods: Every pod, by its common number.
        refused: (source, line number, reason) of the first quarantined lines.
        read_line: Reads a line, of all formats in force.
    """

    policies: tuple[Policy, ...]
    tallies: tuple[Tally, ...]
    endpoints: tuple[list[Endpoint], ...]
    lines: LineCounts
    sources: tuple[Source, ...]
    chunks: list[Chunk]
    first_lines: list[int]
    pods: list[Identity]
    refused: list[tuple[int, int, str]]
    read_line: ReadLine


@contextmanager
def check(
    policies: tuple[Policy, ...],
    logs: Iterable[str],
    *,
    assume_complete: bool = True,
    limit: int = 100,
    formats: Sequence[Format] = (),
    progress: Progress = lambda _stage, _done, _total: None,
) -> Iterator[Outcome]:
    """Judges files of logs; a context in which their lines can be read again.

    Args:
        policies: At least one.
        logs: `FILE`, `-` or `POD=FILE`.
        assume_complete: A named log is complete; else only between its first and last lines.
        limit: How many findings to keep for each policy.
        formats: Of access logs, besides the known ones.
        progress: Told how far the work is.

    Raises:
        UsageError: too many policies, or a log named twice.
        InputError: a log cannot be read, or no line of any is an access log.
    """
    plan = Plan(policies, formats)
    with tempfile.TemporaryDirectory(prefix="mirrorproof-") as name:
        folder = Path(name)
        sources = open_sources(logs, folder)
        parts = list(chunks(sources))
        spill = folder / "spill"
        spill.mkdir()
        scanned = _first_pass(plan, sources, parts, spill, progress)
        clocks = learn(shares(spill), scanned.kinds)
        for number, ahead_us in clocks.items():
            shift(scanned.stretches.get(scanned.pods[number]), ahead_us)
        evidence = _weigh_all(plan, scanned, assume_complete=assume_complete)
        tallies = _second_pass(plan, evidence, scanned, clocks, spill, limit, progress)
        _settle_by_logs(plan, tallies, scanned, sources)
        answers = compare(folder, scanned.kinds, len(plan.policies))
        yield Outcome(
            plan.policies, tallies, tuple(map(judge_endpoints, answers)), scanned.lines, sources,
            parts, scanned.first_lines, scanned.pods, scanned.refused, plan.lines.parse,
        )  # fmt: skip


def _weigh_all(
    plan: Plan, scanned: Scanned, *, assume_complete: bool
) -> tuple[PolicyEvidence, ...]:
    """The evidence of each policy."""
    return tuple(
        weigh(
            plan,
            number,
            scanned.stretches,
            scanned.parts,
            assume_complete=assume_complete,
            shipped=scanned.shipped,
            tls=speaks_tls(scanned.kinds.values(), number),
        )
        for number in range(len(plan.policies))
    )


def _settle_by_logs(
    plan: Plan, tallies: tuple[Tally, ...], scanned: Scanned, sources: tuple[Source, ...]
) -> None:
    """Doubts what lacks in logs that are filtered, or hold lines that cannot be read."""
    for number, (policy, tally) in enumerate(zip(plan.policies, tallies, strict=True)):
        if len(mirror_destinations(policy)) == 1:
            settle_filtered(tally, errors_only=logs_only_errors(scanned.kinds.values(), number))
        unread = zip(sources, scanned.quarantined, strict=True)
        settle_unreadable(tally, unreadable(plan, number, scanned.parts, unread))


def _first_pass(
    plan: Plan,
    sources: tuple[Source, ...],
    parts: list[Chunk],
    spill: Path,
    progress: Progress,
) -> Scanned:
    """Reads all chunks."""
    total = sum(source.size for source in sources)
    shares = 1
    while shares * _SHARE_BYTES < total and shares < 4096:
        shares *= 2
    scanned = Scanned(access_logs=[0] * len(sources), quarantined=[0] * len(sources))
    reports = map_tasks(
        lambda: Scanner(plan, sources, spill, shares).scan,
        list(enumerate(parts)),
        small=total < _SMALL_BYTES,
    )
    done = next_line = 0
    for chunk, report in zip(parts, reports, strict=True):
        next_line = 0 if chunk.start == 0 else next_line
        scanned.join(report, chunk.source, next_line)
        next_line += report.lines
        done += chunk.end - chunk.start
        progress("reading", done, total)
    _refuse_other_files(scanned, sources)
    scanned.finish(plan, sources)
    return scanned


def _refuse_other_files(scanned: Scanned, sources: tuple[Source, ...]) -> None:
    """Refuses input without any access log. One quiet pod's log may hold none, all may not.

    Raises:
        InputError: there are lines, and none is an access log.
    """
    filled = [source for source in sources if source.size]
    if filled and not any(scanned.access_logs):
        msg = (
            f"{filled[0].name}: none of {scanned.lines.read} lines is an istio-proxy access log"
            " of a known format (Istio's default text or JSON, bare or in a shipper's envelope);"
            f" what it is, says mirrorproof format {filled[0].name}"
        )
        raise InputError(msg)


def _second_pass(
    plan: Plan,
    evidence: tuple[PolicyEvidence, ...],
    scanned: Scanned,
    clocks: dict[int, int],
    spill: Path,
    limit: int,
    progress: Progress,
) -> tuple[Tally, ...]:
    """Judges all shares of the keys."""
    tasks = shares(spill)
    tallies = tuple(Tally(limit) for _ in plan.policies)
    judged = map_tasks(
        lambda: Reducer(plan.policies, evidence, scanned.kinds, limit, clocks).reduce,
        tasks,
        small=len(tasks) < 2,
    )
    for done, share in enumerate(judged, 1):
        for number, tally in share.tallies.items():
            tallies[number].merge(tally)
        scanned.lines.repeated += share.repeated
        scanned.lines.ignored += share.ignored
        scanned.lines.observations -= share.repeated + share.ignored
        progress("judging", done, len(tasks))
    seconds = max(1, len(scanned.seconds))
    for tally in tallies:
        settle_surplus(tally, tally.failures)
        settle_log_loss(tally, seconds)
        tally.trim()
    return tallies
