"""How a shipper wrapped a line, by its looks: names for people. Pure.

`collector.envelopes` unwraps the same shapes without needing their names.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from collector.envelopes.identities import DECODE_ERRORS

BARE: Final = "bare lines"
_CRI: Final = re.compile(rb"\d{4}-\d\d-\d\dT\S{8,32} (?:stdout|stderr) [FP]").match
_STAMPED: Final = re.compile(rb"\d{4}-\d\d-\d\dT\S{8,32} [\[{]").match
_decode: Final = msgspec.json.Decoder().decode
# Keys that a record must have, and its name; the first that fits is taken.
_SHAPES: Final[tuple[tuple[frozenset[str], str], ...]] = tuple(
    (frozenset(keys.split()), name)
    for keys, name in (
        ("mirrorproof", "heartbeats"),
        ("resourceLogs", "OTLP in JSON"),
        ("resource_logs", "OTLP in JSON"),
        ("short_message version", "GELF"),
        ("log kubernetes", "Fluent Bit or Fluentd, line in `log`"),
        ("message kubernetes source_type", "Vector"),
        ("message agent", "Filebeat"),
        ("message @version", "Logstash"),
        ("message kubernetes", "Fluentd, Filebeat or Vector, line in `message`"),
        ("log stream time", "Docker's own files"),
        ("log @timestamp", "Fluent Bit without the Kubernetes filter, line in `log`"),
        ("log", "JSON with the line in `log`"),
        ("message", "JSON with the line in `message`"),
        ("kubernetes", "lifted fields (`merge_log`)"),
    )
)


def shape_of(value: bytes) -> str:
    """The name of a record's outermost shape.

    Args:
        value: A Kafka record's value or a line of a file.
    """
    first = value.lstrip()[:1]
    if first in (b"{", b"["):
        found = _json(value)
        if isinstance(found, dict):
            return _of_keys(found)
        if isinstance(found, list) and found:
            return "JSON arrays of records"
    if first == b'"':
        return "JSON strings"
    if value.startswith(b"[pod/"):
        return "kubectl logs --prefix"
    if _CRI(value):
        return "files of the container runtime (CRI)"
    if _STAMPED(value):
        return "lines behind a time (kubectl logs --timestamps)"
    return BARE


def _json(value: bytes) -> Any:
    try:
        return _decode(value)
    except DECODE_ERRORS:
        return None


def _of_keys(record: dict[str, Any]) -> str:
    if "start_time" in record and "kubernetes" not in record:
        return BARE
    for keys, name in _SHAPES:
        if keys <= record.keys():
            return name
    return BARE
