"""The first pass: lines to records, dealt out by key into spill files."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path
from typing import Final

import msgspec

from collector.envelopes import RawLine, unwrap
from collector.keys import request_key
from collector.observation import observe
from collector.parse import Ignored, Quarantined, parse_line
from collector.records import AccessLog, Identity
from verifier.check.kinds import Kinds
from verifier.check.plan import Plan
from verifier.check.records import LAYOUT, MAX_SMALL
from verifier.check.sources import Chunk, Source, read_chunk

_SAMPLES: Final = 5
_MAX_CODE: Final = 65_535
_SECRET: Final = b""  # keys never leave the process: nobody can aim at them


def _identify(log: AccessLog, text: str) -> int:
    """Identity of a line within this run: the workers are forked, so they hash alike."""
    return hash(log.stream_id or text)


class Stretch(msgspec.Struct):
    """From the first start to the last end of a pod's lines, µs since the epoch."""

    first_us: int
    last_us: int

    def widen(self, other: Stretch) -> None:
        """Takes in another stretch."""
        self.first_us = min(self.first_us, other.first_us)
        self.last_us = max(self.last_us, other.last_us)


class ChunkReport(msgspec.Struct):
    """What a worker tells of one chunk.

    Attributes:
        worker: Which worker read it, so that its pod numbers can be translated.
        lines: Lines of the file, to number those of later chunks.
        read: Log lines in them, more when an envelope holds several.
        access_logs: Access-log lines, of any host.
        observations: Access-log lines of watched hosts.
        ignored: No access log, or of no watched host.
        quarantined: Access logs that cannot be read.
        samples: (line number in the chunk, reason) of the first quarantined lines.
        pods: Pods that this worker met for the first time, in the order of their numbers.
        stretches: The stretch of each pod's lines, by its number.
        sides: (policy, side) pairs met.
        shipped: Some line named its own pod: the file is a stream of many pods.
    """

    worker: int
    lines: int = 0
    read: int = 0
    access_logs: int = 0
    observations: int = 0
    ignored: int = 0
    quarantined: int = 0
    samples: list[tuple[int, str]] = []
    pods: list[Identity] = []
    stretches: dict[int, Stretch] = {}
    sides: set[tuple[int, int]] = set()
    shipped: bool = False


class Scanner:
    """Reads chunks in one process.

    Args:
        plan: The policies.
        sources: All logs.
        folder: Where spill files go.
        shares: Into how many shares the keys are dealt; a power of two, at most 65536.
    """

    def __init__(self, plan: Plan, sources: tuple[Source, ...], folder: Path, shares: int) -> None:
        self._plan: Final = plan
        self._sources: Final = sources
        self._folder: Final = folder
        self._mask: Final = shares - 1
        self._worker: Final = os.getpid()
        self._spill: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._pods: dict[Identity, int] = {}
        self._kinds: Final = Kinds()
        self._identities = [Identity(pod=source.pod) for source in sources]

    def scan(self, number: int, chunk: Chunk) -> ChunkReport:
        """Reads one chunk.

        Args:
            number: The chunk's own number.
            chunk: Where it is.
        """
        report = ChunkReport(self._worker)
        source = self._identities[chunk.source]
        lines = read_chunk(self._sources[chunk.source], chunk)
        report.lines = len(lines)
        for index, line in enumerate(lines):
            if line[:1] == b"[" and line[-1:] != b"\r" and line[:2] != b"[{":
                text = line.decode("utf-8", "replace")
                self._take(report, text, source, chunk.source, number, index)
            elif line.strip():
                self._take_wrapped(report, line, source, number, index)
        self._write()
        return report

    def _take_wrapped(
        self, report: ChunkReport, line: bytes, source: Identity, chunk: int, index: int
    ) -> None:
        """Counts and stores what a shipper's record holds."""
        for piece in unwrap(line, source):
            if isinstance(piece, RawLine):
                if piece.identity is not source and piece.identity.pod != source.pod:
                    report.shipped = True
                pod = piece.identity
                self._take(report, piece.text, pod, pod, chunk, index)
            elif isinstance(piece, Quarantined):
                self._refuse(report, index, piece.reason)
            else:
                report.read += 1
                report.ignored += 1

    def _refuse(self, report: ChunkReport, index: int, reason: str) -> None:
        """Counts a line that cannot be read."""
        report.read += 1
        report.quarantined += 1
        if len(report.samples) < _SAMPLES:
            report.samples.append((index, reason))

    def _take(
        self,
        report: ChunkReport,
        text: str,
        pod: Identity,
        who: Hashable,
        chunk: int,
        index: int,
    ) -> None:
        """Counts and stores one line; `who` stands for its pod, cheaper to compare."""
        plain = self._kinds.read(text, who)
        if plain is None:
            self._take_any(report, text, pod, who, chunk, index)
            return
        kind = plain.kind
        report.read += 1
        report.access_logs += 1
        report.observations += 1
        self._note(report, kind.pod, plain.start_us, plain.duration_ms)
        if kind.place is None:
            return
        key = request_key(plain.request_id, plain.method, plain.path, kind.host, _SECRET)
        self._spill[(key[0] | key[1] << 8) & self._mask] += LAYOUT.pack(
            key,
            hash(text),
            plain.start_us,
            plain.duration_ms,
            kind.traits,
            kind.code if kind.code < _MAX_CODE else _MAX_CODE,
            *kind.place,
            0,
            kind.pod,
            chunk,
            index,
        )

    def _take_any(
        self,
        report: ChunkReport,
        text: str,
        pod: Identity,
        who: Hashable,
        chunk: int,
        index: int,
    ) -> None:
        """Counts and stores a line of any kind."""
        log = parse_line(text)
        if not isinstance(log, AccessLog):
            self._count_other(report, index, log)
            return
        report.read += 1
        report.access_logs += 1
        seen = observe(log, text, pod, self._plan.hosts, _SECRET, _identify)
        if seen is None:
            report.ignored += 1
            return
        report.observations += 1
        number = self._number(report, pod)
        self._note(report, number, log.start_us, log.duration_ms)
        place = self._plan.place(seen)
        if not self._plan.depends_on_path(seen.host):
            self._kinds.learn(text, who, seen, place, number)
        if place is None:
            return
        report.sides.add((place[2], place[0]))
        self._spill[(seen.key[0] | seen.key[1] << 8) & self._mask] += LAYOUT.pack(
            seen.key,
            seen.line_id,
            log.start_us,
            log.duration_ms,
            seen.traits,
            min(log.code, _MAX_CODE),
            *place,
            min(log.attempt, MAX_SMALL),
            number,
            chunk,
            index,
        )

    def _count_other(
        self, report: ChunkReport, index: int, found: AccessLog | Ignored | Quarantined
    ) -> None:
        """Counts a line that is no access log, or cannot be read."""
        if isinstance(found, Quarantined):
            self._refuse(report, index, found.reason)
        else:
            report.read += 1
            report.ignored += 1

    def _number(self, report: ChunkReport, pod: Identity) -> int:
        """The number of a pod; a new one is reported."""
        number = self._pods.get(pod)
        if number is None:
            number = self._pods[pod] = len(self._pods)
            report.pods.append(pod)
        return number

    def _note(self, report: ChunkReport, pod: int, start_us: int, duration_ms: int) -> None:
        """Widens a pod's stretch."""
        end_us = start_us + duration_ms * 1000
        stretch = report.stretches.get(pod)
        if stretch is None:
            report.stretches[pod] = Stretch(start_us, end_us)
            return
        if end_us > stretch.last_us:
            stretch.last_us = end_us
        if start_us < stretch.first_us:
            stretch.first_us = start_us

    def _write(self) -> None:
        """Appends what was dealt out to this worker's spill files."""
        for share, spill in self._spill.items():
            with (self._folder / f"{share}-{self._worker}").open("ab") as file:
                file.write(spill)
        self._spill.clear()
