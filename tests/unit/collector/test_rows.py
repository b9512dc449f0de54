"""Rows are the same for both databases, whichever way they are packed."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.batch import Seen
from collector.db.rows import COLUMNS, Ids, Packer, Row, row_of
from collector.db.tables import observation as table
from collector.observation import Destination, Observation
from collector.records import Identity
from collector.redact import Redactor
from tests.factories import access_log

FORMATS = {"BIGINT": "!q", "INTEGER": "!i", "SMALLINT": "!h"}
TEXTS = st.text(max_size=20) | st.sampled_from(["", "\0", "\ud800", "ü" * 600, "x" * 70_000])
NUMBERS = st.integers(0, 2**31 - 1)
HEAD = (7, 2**40)


def unpacked(packed: bytes) -> list[Row]:
    """Reads PostgreSQL's binary COPY format, with the types of the table's columns."""
    rows, place = [], 0
    while place < len(packed):
        (count,) = struct.unpack_from("!h", packed, place)
        place += 2
        assert count == len(COLUMNS)
        values: list[Any] = []
        for name in COLUMNS:
            (length,) = struct.unpack_from("!i", packed, place)
            place += 4
            value = None if length < 0 else packed[place : place + length]
            place += max(length, 0)
            values.append(_value(name, value))
        rows.append(tuple(values))
    return rows


def _value(name: str, packed: bytes | None) -> object:
    kind = str(table.c[name].type)
    if packed is None or kind == "BLOB":
        return packed
    return struct.unpack(FORMATS[kind], packed)[0] if kind in FORMATS else packed.decode()


def seen(number: int, texts: list[str], to: Destination | None) -> Seen:
    """An observation with these texts in it."""
    request_id, method, path, flags, authority, sender = texts
    log = access_log(
        request_id=request_id, method=method, path=path, flags=flags, authority=authority,
        forwarded_for=sender if number % 2 else None, code=number, attempt=number,
    )  # fmt: skip
    pod = Identity(pod=f"pod-{number % 2}")
    found = Observation(b"k" * 16, -number, 1, number, "host", to, pod, log)
    return Seen(number, number % 3, found, "", 0)


@given(
    st.lists(
        st.builds(
            seen,
            NUMBERS,
            st.lists(TEXTS, min_size=6, max_size=6),
            st.sampled_from([None, Destination("host"), Destination("host", "v2")]),
        ),
        max_size=5,
    )
)
def test_rows_packed_for_postgresql_are_the_rows_of_sqlite(found: list[Seen]) -> None:
    """Value by value, whatever clients wrote, for the first line of a kind and for the next."""
    ids, paths = Ids(), Redactor()
    ids.pods = {Identity(pod="pod-0"): 3, Identity(pod="pod-1"): 4}
    ids.hosts = {"host": 5}
    ids.destinations = {Destination("host"): 6, Destination("host", "v2"): 7}
    packer = Packer(ids, paths)

    rows = unpacked(packer.pack(HEAD, found) + packer.pack(HEAD, found))

    assert rows == [row_of(HEAD, one, ids, paths) for one in found] * 2


def test_a_value_that_does_not_fit_is_refused_while_it_is_packed() -> None:
    """Loudly; nothing is cut off or wraps around."""
    ids = Ids()
    ids.pods, ids.hosts = {Identity(pod="pod-1"): 4}, {"host": 5}
    wide = seen(1, [""] * 6, None)
    wide.observation.log.bytes_sent = 2**63

    with pytest.raises(struct.error):
        Packer(ids, Redactor()).pack(HEAD, [wide])
