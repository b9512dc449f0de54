"""What is found in a record: lines, pieces of lines, signs of life, and what cannot be read."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from collector.formats.parse import Quarantined
from collector.records import Identity

MAX_VALUE_BYTES: Final = 1024 * 1024
"""Largest value that is looked into; Kafka brokers refuse larger ones by default."""
MAX_DEPTH: Final = 6
"""Envelopes within envelopes; real chains have three (OTLP with Fluent Bit's record with CRI)."""
MAX_LINES: Final = 20_000
"""Lines in one value. An access log takes 150 bytes or more: a full value has less than 7000."""

TOO_LARGE: Final = Quarantined(f"value larger than {MAX_VALUE_BYTES} bytes")
TOO_DEEP: Final = Quarantined(f"more than {MAX_DEPTH} envelopes within each other")
TOO_MANY: Final = Quarantined(f"more than {MAX_LINES} lines in one value")
BINARY: Final = Quarantined("binary value of no known encoding (compressed, or Avro?)")


class RawLine(msgspec.Struct, gc=False):
    """One line as the proxy wrote it, without newline.

    Attributes:
        text: The line; bytes that are no UTF-8 are U+FFFD.
        identity: Who wrote it, as far as the envelope says.
        time: The shipper's time of the line, as it was written; see `shipper_time_us`.
        stream: `stdout` or `stderr`, empty when the envelope does not say.
    """

    text: str
    identity: Identity
    time: object = None
    stream: str = ""


class Piece(msgspec.Struct, gc=False):
    """A part of a line that the container runtime split, not its last one.

    Attributes:
        text: The part, exactly.
        identity: Who wrote it.
        time: The shipper's time of the piece.
        stream: `stdout` or `stderr`; with the identity it tells which line the part is of.
        unsure: That it is no whole line is only guessed: Docker leaves out the newline, and a
            line that OpenTelemetry's container operator joined is tagged as its first piece.
    """

    text: str
    identity: Identity
    time: object = None
    stream: str = ""
    unsure: bool = False


class Heartbeat(msgspec.Struct, frozen=True):
    """The log path of a node was alive.

    Attributes:
        identity: Node and cluster.
        time_us: When it was written, µs since the epoch; 0: it does not say.
    """

    identity: Identity
    time_us: int


Found = RawLine | Piece | Heartbeat | Quarantined


def shipper_time_us(value: object) -> int:
    """A shipper's time in µs since the epoch, from any of its notations; 0: none.

    RFC 3339 text (without zone: UTC), or a number of seconds, ms, µs or ns since the epoch, also
    as text.
    """
    if isinstance(value, str):
        try:
            if value.isdecimal():
                return shipper_time_us(int(value))
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = datetime.fromisoformat(value + "+00:00")
            return int(moment.timestamp() * 1_000_000)
        except (ValueError, OverflowError):
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    # The magnitude tells the unit for every time after 1973.
    for limit, factor in ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (1e20, 1e-3)):
        if 0 <= value < limit:
            return int(value * factor)
    return 0
