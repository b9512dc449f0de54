"""The compact form in which `scan` hands a line to `reduce`: fixed width, no object per line."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from collector.keys import mask_request_id
from verifier.pairing.lines import Line
from verifier.places import Place

LAYOUT: Final = struct.Struct("<qqqQIII")
"""A `Record`."""

KEY, LINE_ID, START, KIND, DURATION = 0, 1, 2, 3, 4
"""Positions in a record: naming its fields would cost as much as the rest."""

MAX_POLICIES: Final = 250

_READ_BYTES: Final = LAYOUT.size * 65_536


class Record(NamedTuple):
    """One line of a watched route, as `LAYOUT` packs it.

    `key` and `line_id` tell requests and lines apart within a run; `kind` is the number, unique
    over all workers, of what the line has in common with many others; `chunk` and `number` tell
    where the line is.
    """

    key: int
    line_id: int
    start_us: int
    kind: int
    duration_ms: int
    chunk: int
    number: int


class Kind(NamedTuple):
    """What a line has in common with others: all that matters but its id, path and times.

    `policy` is an index into the policies. `route_unknown` is 1 when the line does not show which
    route its request took; the policy then is the first that it may have been, and `others` holds
    side, mirror and policy for each.
    """

    pod: int
    code: int
    traits: int
    side: int
    mirror: int
    policy: int
    route_unknown: int
    attempt: int
    others: tuple[tuple[int, int, int], ...] = ()

    def at(self, place: Place) -> Kind:
        """The same at another place."""
        side, mirror, policy, unknown, others = place
        return self._replace(
            side=side, mirror=mirror, policy=policy, route_unknown=unknown, others=others
        )


def key_of(request_id: str, method: str, path: str, host: str) -> int:
    """What the lines of one request share, within this run.

    The worker processes are forked from one, so that they hash alike, by a secret that nobody
    can aim at. `collector.keys.request_key` is the lasting form of the same.
    """
    return hash(f"{mask_request_id(request_id)}\n{method}\n{path}\n{host}")


def shares(spill: Path) -> list[list[Path]]:
    """The spill files of each share of the keys; they are called `SHARE-WORKER`."""
    by_share: dict[str, list[Path]] = {}
    for file in sorted(spill.iterdir()):
        by_share.setdefault(file.name.partition("-")[0], []).append(file)
    return list(by_share.values())


def read_records(files: Iterable[Path]) -> Iterator[tuple[Any, ...]]:
    """All records of files, piece by piece: one id in all lines makes a share of any size."""
    for path in files:
        with path.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                yield from LAYOUT.iter_unpack(piece)


def to_line(record: Record, kind: Kind) -> Line:
    """The record as pairing sees it; `where` is (chunk, number)."""
    return Line(
        kind.side,
        kind.mirror,
        record.start_us,
        record.start_us + record.duration_ms * 1000,
        kind.code,
        kind.traits,
        kind.attempt,
        kind.pod,
        record.line_id,
        (record.chunk, record.number),
    )
