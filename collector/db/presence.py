"""Who wrote lines in which second: noted with each batch, so that settling need not ask its lines.

Some tens of numbers a second instead of thousands of lines. A batch of which nothing is noted (an
older release wrote it, or retention took the note) is no gap: its lines say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, insert

from collector.batch import Seen
from collector.db.rows import Head, Ids
from collector.db.sign_tables import presence
from collector.observation import Observation

SECOND_US: Final = 1_000_000


class KindInSecond(msgspec.Struct, frozen=True, array_like=True):
    """The lines of a batch that start in one second and tell the same of who took part.

    Attributes:
        second: Since the epoch, by the pod's own clock.
        host_id, role, pod_id, destination_id: As those of the lines.
        lines: How many.
    """

    second: int
    host_id: int
    role: int
    pod_id: int
    destination_id: int | None
    lines: int


_DECODER: Final = msgspec.json.Decoder(list[KindInSecond])


def insert_presence(
    connection: Connection, stored: Iterable[tuple[Head, Sequence[Seen]]], ids: Ids
) -> None:
    """Notes it of batches, in their transaction; the numbers of all that they name are known."""
    rows = [
        {"id": batch_id, "committed_us": now_us, "kinds": msgspec.json.encode(_kinds(seen, ids))}
        for (now_us, batch_id), seen in stored
        if seen
    ]
    if rows:
        connection.execute(insert(presence), rows)


def read_kinds(noted: bytes) -> list[KindInSecond]:
    """What is noted of a batch."""
    return _DECODER.decode(noted)


def _kinds(seen: Iterable[Seen], ids: Ids) -> list[KindInSecond]:
    # Pods and destinations are the same objects again and again: by their address they are
    # counted without hashing their fields.
    counts: dict[tuple[int, int, int, str, int], int] = {}
    named: dict[tuple[int, int, int, str, int], Observation] = {}
    for one in seen:
        line = one.observation
        kind = (
            line.log.start_us // SECOND_US, id(line.pod), id(line.destination), line.host, line.role
        )  # fmt: skip
        if kind in counts:
            counts[kind] += 1
        else:
            counts[kind], named[kind] = 1, line
    found: Counter[tuple[int, int, int, int, int | None]] = Counter()
    for kind, line in named.items():
        to = None if line.destination is None else ids.destinations[line.destination]
        found[kind[0], ids.hosts[line.host], line.role, ids.pods[line.pod], to] += counts[kind]
    return [KindInSecond(*kind, lines) for kind, lines in found.items()]
