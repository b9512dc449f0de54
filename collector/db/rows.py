"""Observations as rows: the columns' order, and values that both databases accept alike."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from collector.observation import Destination, Observation
from collector.records import Identity
from collector.redact import PathRedactor, scrub

COLUMNS: Final = (
    "ingested_us",
    "batch_id",
    "record_offset",
    "line_id",
    "start_us",
    "end_us",
    "bytes_received",
    "bytes_sent",
    "item",
    "pod_id",
    "host_id",
    "traits",
    "code",
    "role",
    "attempt",
    "destination_id",
    "key",
    "request_id",
    "method",
    "path",
    "flags",
    "details",
    "authority",
    "route",
    "forwarded_for",
)
"""The columns of `observation` in the order of `Row`; `pack_rows` knows their types."""

Row = tuple[Any, ...]
_SMALL: Final = 2**15 - 1
_short: Final = lru_cache(maxsize=8192)(scrub)  # fields with few values


class Ids:
    """Numbers of pods, hosts and destinations; see `collector.db.dimensions`."""

    __slots__ = ("destinations", "hosts", "pods")

    def __init__(self) -> None:
        self.pods: dict[Identity, int] = {}
        self.hosts: dict[str, int] = {}
        self.destinations: dict[Destination, int] = {}


def row_of(
    seen: Observation, offset: int, item: int, ids: Ids, batch: tuple[int, int], paths: PathRedactor
) -> Row:
    """One observation as a row.

    Args:
        seen: What is stored.
        offset: Offset of its record.
        item: Position of its line in the record.
        ids: Numbers of its dimensions, all of them known.
        batch: When it was ingested (µs since the epoch) and the id of its batch.
        paths: Hides query values.
    """
    log, to = seen.log, seen.destination
    return (
        *batch,
        offset,
        seen.line_id,
        log.start_us,
        log.end_us,
        log.bytes_received,
        log.bytes_sent,
        item,
        ids.pods[seen.pod],
        ids.hosts[seen.host],
        seen.traits,
        min(log.code, _SMALL),
        seen.role,
        min(log.attempt, _SMALL),
        None if to is None else ids.destinations[to],
        seen.key,
        scrub(log.request_id),
        _short(log.method),
        paths.redact(log.path),
        _short(log.flags),
        _short(log.details),
        _short(log.authority),
        _short(log.route),
        None if log.forwarded_for is None else _short(log.forwarded_for),
    )


# --- PostgreSQL's binary COPY format (its documentation, chapter COPY): every field is its length
# --- as int4 and its bytes, a null has the length -1.
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
_TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_FIXED: Final = struct.Struct("!h" + "iq" * 8 + "ii" * 4 + "ih" * 3)
_INT: Final = struct.Struct("!ii").pack
_LENGTH: Final = struct.Struct("!i").pack


def pack_rows(rows: Iterable[Row]) -> bytes:
    """Rows in PostgreSQL's binary COPY format: several times faster than row by row."""
    parts = [_HEADER]
    for row in rows:
        parts.append(_pack_fixed(row))
        parts.append(_NULL if row[15] is None else _INT(4, row[15]))
        parts.append(_pack_texts(row[16], row[17:]))
    parts.append(_TRAILER)
    return b"".join(parts)


def _pack_fixed(row: Row) -> bytes:
    return _FIXED.pack(
        len(COLUMNS), 8, row[0], 8, row[1], 8, row[2], 8, row[3], 8, row[4], 8, row[5], 8, row[6],
        8, row[7], 4, row[8], 4, row[9], 4, row[10], 4, row[11], 2, row[12], 2, row[13], 2, row[14],
    )  # fmt: skip


def _pack_texts(key: bytes, texts: Sequence[str | None]) -> bytes:
    parts = [_LENGTH(len(key)), key]
    for text in texts:
        if text is None:
            parts.append(_NULL)
            continue
        encoded = text.encode()
        parts.append(_LENGTH(len(encoded)))
        parts.append(encoded)
    return b"".join(parts)
