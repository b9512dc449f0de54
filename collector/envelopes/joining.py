"""Joins the pieces of lines that container runtimes split. Pure: one `Joiner` a partition.

A piece is held, and so is not waited for: its offset is read, and what is held is stored in the
same transaction. The last piece of a line looks like any whole line; it is recognized by a piece
that is held of the same stream. Pieces are told apart by who wrote them and by `stdout` or
`stderr`; without any identity all pieces of a partition are of one stream.

Held is bounded: by the length of a line, by bytes in all, by time. What is given up is
quarantined with the reason, piece by piece. A line that grew too long leaves its newest piece
behind, *spoiled*, so that the rest of the line is not taken for a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from collector.envelopes.found import Piece, RawLine
from collector.formats.parse import (
    MAX_LINE_CHARACTERS,
    Ignored,
    Quarantined,
    ReadLine,
    parse_line,
)
from collector.records import AccessLog, Identity
from collector.redact import scrub

HOLD_US: Final = 60_000_000
"""The pieces of a line are written at once and shipped within seconds; a minute is a shipper's
worst restart. Without its rest until then a line counts as lost."""
MAX_PIECES: Final = 256
"""Of one line: the smallest pieces known are those of CRI-O, 8 KiB, sixteen for a whole line."""
MAX_HELD_CHARACTERS: Final = 8 * 1024 * 1024
"""Of one partition: sixty-four lines of the greatest length, of as many pods, at one moment."""

_LATE: Final = Quarantined(
    f"piece of a line whose rest did not come within {HOLD_US // 1_000_000} s in this partition"
)
_LONG: Final = Quarantined(f"piece of a line longer than {MAX_LINE_CHARACTERS} characters")
_MANY: Final = Quarantined(
    f"piece of a line: more than {MAX_HELD_CHARACTERS} characters were waiting in this partition"
)
_REPLACED: Final = Quarantined("piece of a line whose rest did not come: a whole line came instead")

Place = tuple[int, int]
"""Offset of a record and position in it."""


class HeldPiece(msgspec.Struct, frozen=True):
    """A piece that waits for the rest of its line.

    Attributes:
        offset: Of its record.
        item: Position in its record.
        stream: Whose line, see `stream_of`.
        time: The shipper's time, as it was written.
        text: The piece.
        record_us: Time of its record, µs since the epoch.
        spoiled: Its line is too long: it is not joined, only its end is waited for.
    """

    offset: int
    item: int
    stream: str
    time: str
    text: str
    record_us: int
    spoiled: bool = False

    @property
    def place(self) -> Place:
        """Where it was read."""
        return self.offset, self.item


class Given(msgspec.Struct, frozen=True):
    """A piece that was given up, and why."""

    piece: HeldPiece
    why: Quarantined


class Joined(msgspec.Struct):
    """What became of a line's last piece.

    Attributes:
        line: The whole line, or the last piece alone.
        log: What it says.
        given: Pieces that are given up.
    """

    line: RawLine
    log: AccessLog | Ignored | Quarantined
    given: list[Given]


def stream_of(found: Piece | RawLine) -> str:
    """What the pieces of one line have in common, and those of others at that moment have not."""
    who = found.identity
    parts = (who.cluster, who.node, who.namespace, who.pod, who.container, found.stream)
    return scrub("/".join(parts))


def identity_of(stream: str) -> Identity:
    """Who wrote the lines of a stream; labels are not known any more."""
    cluster, node, namespace, pod, container, *_ = [*stream.split("/"), "", "", "", "", ""]
    return Identity(pod, namespace, cluster, node, container)


class Joiner:
    """What is held of one partition.

    Args:
        pieces: What was held before, in the order of their offsets.
        now_us: Wall clock, from which on they are held here.
        read_line: Reads a line, of all formats in force.

    Attributes:
        held: The pieces of each stream; nearly always none.
    """

    def __init__(
        self,
        pieces: Iterable[HeldPiece] = (),
        now_us: int = 0,
        read_line: ReadLine = parse_line,
    ) -> None:
        self._read_line = read_line
        self.held: Final[dict[str, list[HeldPiece]]] = {}
        self._since_us: dict[str, int] = {}
        self._characters = 0
        self._added: dict[Place, HeldPiece] = {}
        self._gone: list[Place] = []
        for piece in pieces:
            self._add(piece, now_us)
        self._added.clear()

    def __bool__(self) -> bool:
        """Whether anything is held."""
        return bool(self.held)

    def holds(self, stream: str) -> bool:
        """Whether a line of this stream is not complete yet."""
        return stream in self.held

    def hold(self, piece: HeldPiece, now_us: int) -> list[Given]:
        """Takes a piece, unless it is there already.

        Returns:
            The pieces that are given up for it.
        """
        held = self.held.get(piece.stream, [])
        if _begins_anew(held, piece):
            self.take(piece.stream)
            held = []
        elif _repeats(held, piece):
            return []
        length = sum(len(one.text) for one in held) + len(piece.text)
        spoiled = bool(held) and held[0].spoiled
        given: list[Given] = []
        if spoiled or length > MAX_LINE_CHARACTERS or len(held) >= MAX_PIECES:
            given = [Given(gone, _LONG) for gone in self.take(piece.stream)]
            piece = msgspec.structs.replace(piece, spoiled=True)
        self._add(piece, now_us)
        while self._characters > MAX_HELD_CHARACTERS:
            given += [Given(gone, _MANY) for gone in self.take(next(iter(self.held)))]
        return given

    def take(self, stream: str) -> list[HeldPiece]:
        """The pieces of a line, in order, which are no longer held."""
        self._since_us.pop(stream, None)
        taken = self.held.pop(stream, [])
        for piece in taken:
            self._characters -= len(piece.text)
            if self._added.pop(piece.place, None) is None:
                self._gone.append(piece.place)
        return taken

    def join(self, end: RawLine) -> Joined | None:
        """A line from its pieces and its last one; None: nothing is held of its stream.

        When the rest was lost, a whole line comes instead of it. What can be read as one line is
        one: then a last piece that looks like a line by itself was made to look so by a client.
        """
        pieces = self.take(stream_of(end))
        if not pieces:
            return None
        if pieces[0].spoiled:
            return Joined(end, _LONG, [Given(piece, _LONG) for piece in pieces])
        text = "".join([*(piece.text for piece in pieces), end.text])
        log = self._read_line(text)
        if not isinstance(log, AccessLog):
            alone = self._read_line(end.text)
            if isinstance(alone, AccessLog):
                return Joined(end, alone, [Given(piece, _REPLACED) for piece in pieces])
        return Joined(RawLine(text, end.identity, end.time, end.stream), log, [])

    def expire(self, record_us: int, now_us: int) -> list[Given]:
        """Gives up what is held for too long.

        Args:
            record_us: Time of the newest record: what came a while before it waits in vain.
            now_us: Wall clock: no record may come at all.
        """
        late = [
            stream
            for stream, pieces in self.held.items()
            if pieces[-1].record_us + HOLD_US < record_us
            or self._since_us[stream] + HOLD_US < now_us
        ]
        return [Given(piece, _LATE) for stream in late for piece in self.take(stream)]

    def changes(self) -> tuple[list[HeldPiece], list[Place]]:
        """Pieces that are held since the last time, and places of those that are not any more."""
        changes = list(self._added.values()), self._gone
        self._added, self._gone = {}, []
        return changes

    def _add(self, piece: HeldPiece, now_us: int) -> None:
        self.held.setdefault(piece.stream, []).append(piece)
        self._since_us[piece.stream] = now_us
        self._characters += len(piece.text)
        self._added[piece.place] = piece


def _begins_anew(held: list[HeldPiece], piece: HeldPiece) -> bool:
    """Whether a line comes again from its first piece, and its later ones cannot be told apart."""
    return len(held) > 1 and held[0].time == held[1].time and _same(held[0], piece)


def _repeats(held: list[HeldPiece], piece: HeldPiece) -> bool:
    """Whether a piece was shipped before, as its line is read again.

    The first piece begins with the line's own time, so that one like it is the same. Later ones
    may be alike, of a long path of one letter: those of the Kubernetes runtime interface have a
    time each, Docker's share one and are not taken for repeats.
    """
    if not held or held[0].spoiled:
        return False
    if _same(held[0], piece):
        return True
    alike = piece.time and piece.time != held[0].time
    return bool(alike) and any(_same(one, piece) for one in held[1:])


def _same(one: HeldPiece, other: HeldPiece) -> bool:
    return one.time == other.time and one.text == other.text
