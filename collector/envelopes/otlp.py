"""OpenTelemetry's log batches, JSON or protobuf: many lines a record, told apart by resource.

Source: opentelemetry-proto, logs/v1/logs.proto and common/v1/common.proto; JSON has the names in
lowerCamelCase. Deprecated `instrumentationLibraryLogs` (before 0.15) are read as scopes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

_MAX_NESTING: Final = 8
"""Values within values that are turned into JSON; Fluent Bit's record has three."""


class AnyValue(msgspec.Struct, gc=False, rename="camel"):
    """One value; at most one field is set."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bytes_value: bytes | None = None
    array_value: Values | None = None
    kvlist_value: Pairs | None = None

    def plain(self, depth: int = 0) -> Any:
        """The value as Python has it; text that is text, None for what is too deep."""
        if self.string_value is not None:
            return self.string_value
        if self.kvlist_value is not None and depth < _MAX_NESTING:
            return {one.key: one.value.plain(depth + 1) for one in self.kvlist_value.values}
        if self.array_value is not None and depth < _MAX_NESTING:
            return [one.plain(depth + 1) for one in self.array_value.values]
        if self.bytes_value is not None:
            return self.bytes_value.decode("utf-8", "replace")
        if isinstance(self.int_value, str):  # JSON has no whole numbers of 64 bits
            return int(self.int_value) if self.int_value.isdecimal() else self.int_value
        for value in (self.bool_value, self.int_value, self.double_value):
            if value is not None:
                return value
        return None


class Values(msgspec.Struct):
    """An array."""

    values: list[AnyValue] = []


class KeyValue(msgspec.Struct):
    """An attribute."""

    key: str = ""
    value: AnyValue = msgspec.field(default_factory=AnyValue)


class Pairs(msgspec.Struct):
    """A map."""

    values: list[KeyValue] = []


class LogRecord(msgspec.Struct, rename="camel"):
    """One line."""

    time_unix_nano: int | str = 0
    observed_time_unix_nano: int | str = 0
    body: AnyValue | None = None
    attributes: list[KeyValue] = []


class ScopeLogs(msgspec.Struct, rename="camel"):
    """Lines of one instrumentation scope."""

    log_records: list[LogRecord] = []


class Resource(msgspec.Struct):
    """Who wrote them."""

    attributes: list[KeyValue] = []


class ResourceLogs(msgspec.Struct, rename="camel"):
    """Lines of one resource."""

    resource: Resource | None = None
    scope_logs: list[ScopeLogs] = []
    instrumentation_library_logs: list[ScopeLogs] = []


class Logs(msgspec.Struct, rename="camel"):
    """One batch."""

    resource_logs: list[ResourceLogs] = []


class Entry(msgspec.Struct, gc=False):
    """One line of a batch.

    Attributes:
        body: The line, or a whole record of another shipper as JSON text.
        resource: Attributes of its resource, with text values.
        attributes: Its own.
        time: Its time in ns since the epoch, a number or text; 0: none.
    """

    body: str
    resource: dict[str, object]
    attributes: dict[str, object]
    time: int | str


decode_json: Final = msgspec.json.Decoder(Logs).decode


def entries(logs: Logs) -> Iterator[Entry]:
    """All lines of a batch, in order."""
    for group in logs.resource_logs:
        resource = _plain(group.resource.attributes) if group.resource else {}
        for scope in group.scope_logs or group.instrumentation_library_logs:
            for record in scope.log_records:
                attributes = _plain(record.attributes)
                time = record.time_unix_nano or record.observed_time_unix_nano
                yield Entry(_body(record.body, attributes), resource, attributes, time)


def _plain(attributes: list[KeyValue]) -> dict[str, object]:
    return {one.key: one.value.plain() for one in attributes}


def _body(body: AnyValue | None, attributes: dict[str, object]) -> str:
    """The line as text: a body that is no text is JSON; without one, the attributes are it."""
    value = body.plain() if body is not None else None
    if value is None:
        value = attributes or ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
