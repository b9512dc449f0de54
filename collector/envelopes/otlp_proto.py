"""OTLP protobuf to the structs of `otlp`, read by hand.

Seven messages of a stable format are 60 lines; the maintained package would bring generated code
and two dependencies, of which one must match the other's version. Unknown fields are skipped, as
protobuf asks for. Every length is checked against its message, so that what is no such batch is
told apart, text that begins with a newline among it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from collector.envelopes.otlp import (
    AnyValue,
    KeyValue,
    LogRecord,
    Logs,
    Pairs,
    Resource,
    ResourceLogs,
    ScopeLogs,
    Values,
)

FIRST_BYTE: Final = b"\n"
"""Of a batch: field 1, `resource_logs`, a message. It is a newline, too."""

_VARINT, _FIXED64, _MESSAGE, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH: Final = 16
_MAX_SHIFT: Final = 63
_double: Final = struct.Struct("<d").unpack_from
_fixed64: Final = struct.Struct("<Q").unpack_from


class _NoBatchError(ValueError):
    """The bytes are no such message."""


def decode(value: bytes) -> Logs | None:
    """A batch (`ExportLogsServiceRequest`, the same as `LogsData`), or None: it is none."""
    try:
        groups = [
            _resource_logs(value, at) for field, at in _messages(value, 0, len(value)) if field == 1
        ]
    except (_NoBatchError, IndexError, UnicodeDecodeError):
        return None
    return Logs(groups) if groups else None


_Span = tuple[int, int]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends. Raises IndexError at the end of the data."""
    found = data[at]
    at += 1
    if found < 0x80:
        return found, at
    found &= 0x7F
    shift = 7
    while True:
        byte = data[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, at
        shift += 7
        if shift > _MAX_SHIFT:
            raise _NoBatchError


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, _Span]]:
    """Number, wire type, number value and span of every field of a message."""
    while at < end:
        tag, at = _varint(data, at)
        field, wire, number = tag >> 3, tag & 7, 0
        if wire == _MESSAGE:
            size, begin = _varint(data, at)
            at = begin + size
        elif wire == _VARINT:
            begin = at
            number, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            begin = at
            at += 8 if wire == _FIXED64 else 4
        else:
            raise _NoBatchError
        if at > end or not field:
            raise _NoBatchError
        yield field, wire, number, (begin, at)


def _messages(data: bytes, at: int, end: int) -> Iterator[tuple[int, _Span]]:
    """Number and span of the fields that are messages or text."""
    return ((field, span) for field, wire, _, span in _fields(data, at, end) if wire == _MESSAGE)


def _text(data: bytes, span: _Span) -> str:
    return data[span[0] : span[1]].decode("utf-8", "replace")


def _resource_logs(data: bytes, span: _Span) -> ResourceLogs:
    found = ResourceLogs()
    for field, inner in _messages(data, *span):
        if field == 1:
            found.resource = Resource(_attributes(data, inner, 1))
        elif field == 2:
            found.scope_logs.append(_scope_logs(data, inner))
    return found


def _scope_logs(data: bytes, span: _Span) -> ScopeLogs:
    return ScopeLogs([_record(data, at) for field, at in _messages(data, *span) if field == 2])


def _record(data: bytes, span: _Span) -> LogRecord:
    found = LogRecord()
    for field, wire, _, inner in _fields(data, *span):
        if field == 1 and wire == _FIXED64:
            found.time_unix_nano = _fixed64(data, inner[0])[0]
        elif field == 11 and wire == _FIXED64:
            found.observed_time_unix_nano = _fixed64(data, inner[0])[0]
        elif field == 5 and wire == _MESSAGE:
            found.body = _value(data, inner)
        elif field == 6 and wire == _MESSAGE:
            found.attributes.append(_pair(data, inner, 0))
    return found


def _attributes(data: bytes, span: _Span, number: int, depth: int = 0) -> list[KeyValue]:
    found = _messages(data, *span)
    return [_pair(data, inner, depth) for field, inner in found if field == number]


def _pair(data: bytes, span: _Span, depth: int) -> KeyValue:
    found = KeyValue()
    for field, inner in _messages(data, *span):
        if field == 1:
            found.key = _text(data, inner)
        elif field == 2:
            found.value = _value(data, inner, depth)
    return found


def _value(data: bytes, span: _Span, depth: int = 0) -> AnyValue:
    found = AnyValue()
    if depth > _MAX_DEPTH:
        raise _NoBatchError
    for field, wire, number, inner in _fields(data, *span):
        if wire == _MESSAGE and field == 1:
            found.string_value = _text(data, inner)
        elif wire == _MESSAGE and field == 5:
            values = _messages(data, *inner)
            found.array_value = Values([_value(data, at, depth + 1) for f, at in values if f == 1])
        elif wire == _MESSAGE and field == 6:
            found.kvlist_value = Pairs(_attributes(data, inner, 1, depth + 1))
        elif wire == _MESSAGE and field == 7:
            found.bytes_value = data[inner[0] : inner[1]]
        elif wire == _VARINT and field == 2:
            found.bool_value = bool(number)
        elif wire == _VARINT and field == 3:
            found.int_value = number - (1 << 64) if number >> 63 else number
        elif wire == _FIXED64 and field == 4:
            found.double_value = _double(data, inner[0])[0]
    return found
