"""How large a packed record batch becomes, told without unpacking all of it."""

from __future__ import annotations

import gzip

import pytest
from kafka.codec import lz4_encode, snappy_encode, zstd_encode

from collector.sources.units import unpacks_beyond

LINES = b"one line after the other\n" * 200_000


def packed(codec: int, value: bytes) -> bytes:
    """As Kafka's clients pack."""
    if codec == 1:
        return gzip.compress(value)
    if codec == 2:
        return bytes(snappy_encode(value))
    if codec == 4:
        return bytes(zstd_encode(value))
    return bytes(lz4_encode(value)) if codec == 3 else value


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_size_is_told_for_every_codec(codec: int) -> None:
    """Just above and just below the limit."""
    value = packed(codec, LINES)

    assert unpacks_beyond(codec, value, len(LINES) - 1)
    assert not unpacks_beyond(codec, value, len(LINES))


def test_snappy_of_one_block_tells_its_size() -> None:
    """As clients in C write it."""
    value = bytes(snappy_encode(LINES, xerial_compatible=False))

    assert unpacks_beyond(2, value, len(LINES) - 1)
    assert not unpacks_beyond(2, value, len(LINES))


@pytest.mark.parametrize("codec", [1, 2, 3, 4, 7])
def test_bytes_that_are_no_codecs_are_not_called_large(codec: int) -> None:
    """They fail when they are unpacked, and that is seen there."""
    assert not unpacks_beyond(codec, b"\xff\x00rubbish" * 9, 10_000_000_000)
    assert not unpacks_beyond(codec, b"", 10)
