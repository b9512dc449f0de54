"""What `check` compares of answers: a sample of the requests, spilled beside the records.

Every request of a small run is in the sample; of a large one so many that they fit into memory.
Compared are keys that are one request with one copy at a mirror: nothing else tells for certain
which answers belong together.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from collector.formats.istio_text import read_sizes
from collector.traits import ORDINARY_MASK, Trait
from verifier.check.records import Kind
from verifier.pairing.lines import Side
from verifier.statistics.compare import Answer, Compared, Pair
from verifier.statistics.endpoints import OTHER, endpoint_of

SAMPLE_BYTES: Final = 8 * 1024 * 1024
"""Of larger inputs a part is compared."""

_LAYOUT: Final = struct.Struct("<qqQqIi")
_MAX_NAMES: Final = 2_000
_SHIFT: Final = 40  # other bits of a key than those that deal it out
_UNREADABLE: Final = Trait.NO_ID | Trait.AMBIGUOUS | Trait.PARTIAL
_CLIENT, _PRIMARY, _COPY = int(Side.CLIENT_LIVE), int(Side.SERVER_LIVE), int(Side.SERVER_MIRROR)


class _Logged(NamedTuple):
    """A line of the sample."""

    key: int
    line_id: int
    kind: int
    size: int
    duration_ms: int
    endpoint: int


class Sample:
    """Writes the sample in one process.

    Args:
        folder: Where the sample goes.
        worker: Number of the process.
        total_bytes: How large the input is.
    """

    def __init__(self, folder: Path, worker: int, total_bytes: int) -> None:
        self._data: Final = folder / f"answers-{worker}"
        self._names_file: Final = folder / f"names-{worker}"
        parts = 1
        while parts * SAMPLE_BYTES < total_bytes:
            parts *= 2
        self._mask: Final = (parts - 1) << _SHIFT
        self._names: dict[str, int] = {}
        self._new_names: list[str] = []
        self._spill = bytearray()

    def has(self, key: int) -> bool:
        """Whether a request is in the sample."""
        return not key & self._mask

    def add_text(self, key: int, line_id: int, kind: int, text: str) -> None:
        """Adds a line of Istio's text format that was read by its kind."""
        parts = text.split('"', 5)
        method, path, _ = parts[1].split(" ")
        _, size, duration_ms = read_sizes(parts[4])
        self.add(key, line_id, kind, (method, path), size, duration_ms)

    def add(
        self,
        key: int,
        line_id: int,
        kind: int,
        request: tuple[str, str],
        size: int,
        duration_ms: int,
    ) -> None:
        """Adds a line; `request` is its method and path."""
        name = endpoint_of(*request)
        number = self._names.get(name)
        if number is None:
            number = -1
            if len(self._names) < _MAX_NAMES:
                number = self._names[name] = len(self._names)
                self._new_names.append(name)
        size = min(size, 2**62)
        self._spill += _LAYOUT.pack(key, line_id, kind, size, duration_ms, number)

    def write(self) -> None:
        """Appends what was added since to this process's files."""
        with self._data.open("ab") as file:
            file.write(self._spill)
        with self._names_file.open("a") as file:
            file.writelines(json.dumps(name) + "\n" for name in self._new_names)
        self._spill.clear()
        self._new_names.clear()


def compare(folder: Path, kinds: Mapping[int, Kind], policies: int) -> list[dict[str, Compared]]:
    """What the sample amounts to: for each policy, by endpoint.

    Args:
        folder: Where all processes wrote.
        kinds: All kinds of lines, by their numbers.
        policies: How many policies there are.
    """
    found: list[dict[str, Compared]] = [{} for _ in range(policies)]
    keys: defaultdict[int, dict[tuple[int, int], tuple[_Logged, str]]] = defaultdict(dict)
    for logged, name in _read(folder):
        # A line that was shipped twice counts once.
        keys[logged.key][kinds[logged.kind].pod, logged.line_id] = logged, name
    for lines in keys.values():
        told = [(logged, kinds[logged.kind], name) for logged, name in lines.values()]
        policy, name = told[0][1].policy, told[0][2]
        for pair in _pairs([(logged, kind) for logged, kind, _ in told]):
            found[policy].setdefault(name, Compared()).add(pair)
    return found


def _read(folder: Path) -> Iterator[tuple[_Logged, str]]:
    for data in sorted(folder.glob("answers-*")):
        with (folder / data.name.replace("answers", "names")).open() as file:
            names = [json.loads(line) for line in file]
        for packed in _LAYOUT.iter_unpack(data.read_bytes()):
            logged = _Logged(*packed)
            yield logged, OTHER if logged.endpoint < 0 else names[logged.endpoint]


def _pairs(lines: list[tuple[_Logged, Kind]]) -> Iterator[Pair]:
    """The pairs of one key: of one request, and at each mirror one copy."""
    sides: defaultdict[tuple[int, int], list[tuple[_Logged, Kind]]] = defaultdict(list)
    for logged, kind in lines:
        odd = kind.traits & (_UNREADABLE if kind.side == _COPY else ORDINARY_MASK)
        if odd or kind.route_unknown or not kind.code:
            return
        sides[kind.side, kind.mirror if kind.side == _COPY else 0].append((logged, kind))
    if any(len(some) > 1 or side not in (_CLIENT, _PRIMARY, _COPY)
           for (side, _), some in sides.items()):  # fmt: skip
        return
    primary: Any = sides.get((_PRIMARY, 0)) or sides.get((_CLIENT, 0))
    if not primary:
        return
    logged, kind = primary[0]
    served = kind.side == _PRIMARY
    ours = Answer(kind.code, logged.duration_ms if served else None, logged.size)
    for (side, _), some in sorted(sides.items()):
        if side == _COPY:
            copy, told = some[0]
            theirs = Answer(told.code, copy.duration_ms, copy.size)
            yield Pair(ours, theirs, str(kind.pod) if served else None)
