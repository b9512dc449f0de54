"""The first pass: lines to records, dealt out by key into spill files."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path
from typing import Final

import msgspec

from collector.envelopes.found import Piece, RawLine
from collector.envelopes.joining import Given, Joiner, stream_of
from collector.envelopes.unwrap import unwrap
from collector.formats.own_pod import writer_of
from collector.formats.parse import Ignored, Quarantined
from collector.keys import own_text
from collector.observation import Observation, observe
from collector.records import AccessLog, Identity
from verifier.check.answers import Sample
from verifier.check.kinds import Kinds, Known, Stretch
from verifier.check.pieces import held_piece
from verifier.check.plan import Bare, Plan
from verifier.check.records import LAYOUT, Kind, key_of
from verifier.check.sources import Chunk, Source, read_chunk
from verifier.places import Place

_SAMPLES: Final = 5
_SECRET: Final = b""  # keys never leave the process: nobody can aim at them


_NEVER_US: Final = 2**62
_WRAPPED: Final = frozenset((b"{", b"p"))  # a JSON array; `[pod/…] ` of kubectl


def _identify(log: AccessLog, text: str) -> int:
    """Identity of a line within this run: the workers are forked, so they hash alike."""
    return hash(own_text(log, text))


class ChunkReport(msgspec.Struct):
    """What a worker tells of one chunk.

    Attributes:
        worker: Which worker read it, so that its pod numbers can be translated.
        lines: Lines of the file, to number those of later chunks.
        observations: Access-log lines of watched hosts.
        elsewhere: Access-log lines of other hosts.
        other: Lines that are no access log.
        quarantined: Access logs that cannot be read.
        samples: (line number in the chunk, reason) of the first quarantined lines.
        pods: Pods that this worker met for the first time, in the order of their numbers.
        kinds: Kinds that this worker met for the first time, by their numbers.
        bare: Of those whose pod has no labels, what to ask again once they are told.
        stretches: The stretch of each pod's lines so far, by its number.
        seconds: Seconds since the epoch in which lines of watched hosts started.
        shipped: Some line named its own pod: the file is a stream of many pods.
    """

    worker: int
    lines: int = 0
    observations: int = 0
    elsewhere: int = 0
    other: int = 0
    quarantined: int = 0
    samples: list[tuple[int, str]] = []
    pods: list[Identity] = []
    kinds: dict[int, Kind] = {}
    bare: dict[int, Bare] = {}
    stretches: dict[int, Stretch] = {}
    seconds: set[int] = set()
    shipped: bool = False


class Scanner:
    """Reads chunks in one process.

    Args:
        plan: The policies.
        sources: All logs.
        folder: Where spill files go.
        shares: Into how many shares the keys are dealt; a power of two.
    """

    def __init__(self, plan: Plan, sources: tuple[Source, ...], folder: Path, shares: int) -> None:
        self._plan: Final = plan
        self._sources: Final = sources
        self._folder: Final = folder
        self._mask: Final = shares - 1
        self._worker: Final = os.getpid()
        self._spill: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._pods: dict[Identity, int] = {}
        self._stretches: list[Stretch] = []
        self._numbers: dict[tuple[Kind, Bare | None], int] = {}
        self._known: Final = Kinds()
        total_bytes = sum(source.size for source in sources)
        self._sample: Final = Sample(folder.parent, self._worker, total_bytes)
        self._joiner = Joiner(read_line=plan.lines.parse)
        self._identities: Final = [Identity(pod=source.pod) for source in sources]

    def scan(self, task: tuple[int, Chunk]) -> ChunkReport:
        """Reads one chunk.

        Args:
            task: The chunk's own number, and where it is.
        """
        number, chunk = task
        report = ChunkReport(self._worker)
        source = self._identities[chunk.source]
        lines = read_chunk(self._sources[chunk.source], chunk)
        report.lines = len(lines)
        self._joiner = Joiner(read_line=self._plan.lines.parse)
        for index, line in enumerate(lines):
            if line[:1] == b"[" and line[-1:] != b"\r" and line[1:2] not in _WRAPPED:
                text = line.decode("utf-8", "replace")
                self._take(report, text, source, chunk.source, number, index)
            elif line.strip():
                self._take_wrapped(report, line, source, number, index)
        self._give_up(report, self._joiner.expire(_NEVER_US, 0))
        self._write()
        report.stretches = dict(enumerate(self._stretches))
        return report

    def _take_wrapped(
        self, report: ChunkReport, line: bytes, source: Identity, chunk: int, index: int
    ) -> None:
        """Counts and stores what a shipper's record holds."""
        for item, found in enumerate(unwrap(line, source)):
            if isinstance(found, RawLine):
                if found.identity is not source and found.identity.pod != source.pod:
                    report.shipped = True
                pod, text = found.identity, found.text
                joined = self._joiner.join(found) if self._joiner else None
                if joined is not None:
                    self._give_up(report, joined.given)
                    text = joined.line.text
                self._take(report, text, pod, pod, chunk, index)
            elif isinstance(found, Quarantined):
                self._refuse(report, index, found.reason)
            elif isinstance(found, Piece) and self._is_whole(found):
                pod = found.identity
                report.shipped |= pod.pod != source.pod
                self._take(report, found.text, pod, pod, chunk, index)
            else:
                report.other += 1
                if isinstance(found, Piece):
                    self._give_up(report, self._joiner.hold(held_piece(found, index, item), 0))

    def _is_whole(self, piece: Piece) -> bool:
        """Whether what only looks like a piece is a line."""
        if not piece.unsure or self._joiner.holds(stream_of(piece)):
            return False
        return isinstance(self._plan.lines.parse(piece.text), AccessLog)

    def _give_up(self, report: ChunkReport, given: list[Given]) -> None:
        """Counts pieces of lines whose rest did not come, which counted as no access log."""
        for one in given:
            report.other -= 1
            self._refuse(report, one.piece.offset, one.why.reason)

    def _refuse(self, report: ChunkReport, index: int, reason: str) -> None:
        """Counts a line that cannot be read."""
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
        plain = self._known.read(text, who)
        if plain is None:
            self._take_any(report, text, pod, who, chunk, index)
            return
        known, key, start_us, duration_ms = plain
        report.observations += 1
        stretch = known.stretch
        end_us = start_us + duration_ms * 1000
        if end_us > stretch.last_us:
            stretch.last_us = end_us
        if start_us < stretch.first_us:
            stretch.first_us = start_us
        if known.number is not None:
            self._spill[key & self._mask] += LAYOUT.pack(
                key, hash(text), start_us, known.number, duration_ms, chunk, index
            )
            if self._sample.has(key):
                self._sample.add_text(key, hash(text), known.number, text)

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
        shipped = who is pod
        log = self._plan.lines.parse(text)
        if not isinstance(log, AccessLog):
            self._count_other(report, index, log)
            return
        if log.pod:
            pod = writer_of(log, pod)
            report.shipped |= pod.pod == log.pod
        own_host = self._plan.own_host(pod)
        seen = observe(log, text, pod, self._plan.hosts, _SECRET, _identify, own_host)
        if seen is None:
            report.elsewhere += 1
            return
        report.observations += 1
        report.seconds.add(log.start_us // 1_000_000)
        number = self._pod_number(report, pod, log)
        self._stretches[number].widen(log.start_us, log.end_us)
        place = self._plan.place(seen)
        # What is no shipper's record has labels nowhere.
        bare = self._plan.bare(seen) if shipped else None
        kind = None if place is None else self._kind_number(report, number, seen, place, bare)
        if not self._plan.depends_on_path(seen.host) and not self._plan.lines.has_texts:
            self._known.learn(text, who, seen, Known(seen.host, kind, self._stretches[number]))
        if kind is not None:
            key = key_of(log.request_id, log.method, log.path, seen.host)
            self._spill[key & self._mask] += LAYOUT.pack(
                key, seen.line_id, log.start_us, kind, log.duration_ms, chunk, index
            )
            if self._sample.has(key):
                request = log.method, log.path
                self._sample.add(key, seen.line_id, kind, request, log.bytes_sent, log.duration_ms)

    def _count_other(
        self, report: ChunkReport, index: int, found: AccessLog | Ignored | Quarantined
    ) -> None:
        """Counts a line that is no access log, or cannot be read."""
        if isinstance(found, Quarantined):
            self._refuse(report, index, found.reason)
        else:
            report.other += 1

    def _pod_number(self, report: ChunkReport, pod: Identity, log: AccessLog) -> int:
        """The number of a pod; a new one is reported."""
        number = self._pods.get(pod)
        if number is None:
            number = self._pods[pod] = len(self._pods)
            report.pods.append(pod)
            self._stretches.append(Stretch(log.start_us, log.end_us))
        return number

    def _kind_number(
        self, report: ChunkReport, pod: int, seen: Observation, place: Place, bare: Bare | None
    ) -> int:
        """The number of a line's kind; a new one is reported."""
        side, mirror, policy, unknown, others = place
        kind = Kind(
            pod, seen.log.code, seen.traits, side, mirror, policy, unknown, seen.log.attempt, others
        )
        number = self._numbers.get((kind, bare))
        if number is None:
            number = self._numbers[kind, bare] = self._worker << 32 | len(self._numbers)
            report.kinds[number] = kind
            if bare is not None:
                report.bare[number] = bare
        return number

    def _write(self) -> None:
        """Appends what was dealt out to this worker's spill files."""
        for share, spill in self._spill.items():
            with (self._folder / f"{share}-{self._worker}").open("ab") as file:
                file.write(spill)
        self._spill.clear()
        self._sample.write()
