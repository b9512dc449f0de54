"""Lines of files that a container runtime split: where chunks may end, and how pieces are shown.

The pieces of a line lie close together, as they are written at once, but lines of other streams
may lie between them. Nothing here is about access logs: see `collector.envelopes.joining`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Final, TypeGuard

from collector.envelopes.found import Piece, RawLine
from collector.envelopes.joining import HeldPiece, Joiner, stream_of
from collector.envelopes.unwrap import unwrap
from collector.formats.parse import ReadLine
from collector.records import Identity

_BACK_BYTES: Final = 64 * 1024  # shows the newest piece of each line that is open: most have 16 KiB
_ON_BYTES: Final = 256 * 1024  # twice the longest line
_AROUND: Final = 512  # lines; those of other streams may lie between the pieces of one
_UNKNOWN: Final = Identity()


def held_piece(found: Piece, index: int, item: int) -> HeldPiece:
    """A piece as a joiner takes it; `index` and `item` tell where it is."""
    return HeldPiece(index, item, stream_of(found), str(found.time), found.text, 0)


def may_be_whole(found: object) -> TypeGuard[RawLine | Piece]:
    """Whether it is a line by itself for all that its envelope says."""
    return isinstance(found, RawLine) or (isinstance(found, Piece) and found.unsure)


def whole_end(file: BinaryIO, start: int, end: int) -> int:
    """The first place from `end` on, a line's end, at which the fewest lines are in pieces.

    Nearly always it is `end` itself. A line whose rest never comes moves nothing.

    Args:
        file: The log.
        start: From where on it is looked at, bytes.
        end: A line's end, bytes.
    """
    begin = max(start, end - _BACK_BYTES)
    file.seek(begin)
    lines = file.read(end - begin).split(b"\n")
    joiner = Joiner()
    for line in lines[begin > start :]:
        _follow(joiner, line)
    fewest, best, moved = len(joiner.held), end, end
    while fewest and moved < end + _ON_BYTES and (line := file.readline()):
        moved += len(line)
        _follow(joiner, line)
        if len(joiner.held) < fewest:
            fewest, best = len(joiner.held), moved
    return best


def _follow(joiner: Joiner, line: bytes) -> None:
    for item, found in enumerate(unwrap(line.rstrip(b"\n"))) if line.strip() else ():
        if isinstance(found, Piece):
            joiner.hold(held_piece(found, 0, item), 0)
        elif isinstance(found, RawLine):
            joiner.take(stream_of(found))


def whole_line(
    lines: Sequence[bytes], index: int, read_line: ReadLine, source: Identity = _UNKNOWN
) -> RawLine | None:
    """The line of which the line at `index` holds a piece, be it the last; None: there is none.

    Args:
        lines: Of a chunk.
        index: Which one of them.
        read_line: Reads a line, of all formats in force.
        source: Whose log it is.
    """
    joiner = Joiner(read_line=read_line)
    for number in range(max(0, index - _AROUND), min(len(lines), index + _AROUND)):
        for item, found in enumerate(unwrap(lines[number], source)):
            if isinstance(found, Piece):
                joiner.hold(held_piece(found, number, item), 0)
            elif isinstance(found, RawLine) and joiner:
                places = [number, *(one.offset for one in joiner.held.get(stream_of(found), ()))]
                joined = joiner.join(found)
                if joined is not None and not joined.given and index in places:
                    return joined.line
    return None
