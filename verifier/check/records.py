"""The compact form in which `scan` hands a line to `reduce`: fixed width, no object per line."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from verifier.pairing.lines import Line


class Record(NamedTuple):
    """One line of a watched route, as `LAYOUT` packs it.

    `policy` is an index into the policies. `route_unknown` is 1 when the line does not show which
    route its request took; the policy then is the first that it may have been. `pod` is an index
    into the worker's pods; `chunk` and `number` tell where the line is.
    """

    key: bytes
    line_id: int
    start_us: int
    duration_ms: int
    traits: int
    code: int
    side: int
    mirror: int
    policy: int
    route_unknown: int
    attempt: int
    pod: int
    chunk: int
    number: int


LAYOUT: Final = struct.Struct("<16sqqIIHBBBBBIII")
MAX_POLICIES: Final = 250
MAX_SMALL: Final = 255


def to_line(record: Record) -> Line:
    """The record as pairing sees it; `where` is (chunk, number)."""
    return Line(
        record.side,
        record.mirror,
        record.start_us,
        record.start_us + record.duration_ms * 1000,
        record.code,
        record.traits,
        record.attempt,
        record.pod,
        record.line_id,
        (record.chunk, record.number),
    )
