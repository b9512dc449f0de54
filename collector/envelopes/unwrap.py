"""From a Kafka value (or a file's line) to the log lines in it and who wrote them.

Shippers wrap lines in JSON, each in its way. The shape is found by looking, never configured:
every known shape is one function in `_SHAPES`, and what fits none is a line by itself. Values
are unwrapped recursively, as shippers are chained (a Docker record inside a Fluent Bit one).

A *heartbeat* is a record that says only that a node's log path is alive:
`{"mirrorproof": "heartbeat", "node": "node-a", "time": "2026-11-22T15:11:42Z"}`, as a Kafka value
or printed to standard output by a pod on that node, so that it takes the way of the logs.

Nothing here raises, whatever the bytes are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from collector.envelopes.identities import DECODE_ERRORS, kubernetes_identity
from collector.formats.parse import Quarantined
from collector.records import Identity

MAX_VALUE_BYTES: Final = 1024 * 1024
"""Largest value that is looked into; Kafka brokers refuse larger ones by default."""

_MAX_DEPTH: Final = 4
"""Envelopes within envelopes; real chains have two."""

_UNKNOWN: Final = Identity()
_TOO_LARGE: Final = Quarantined("value too large")
_SPLIT_LINE: Final = Quarantined("piece of a line that the container runtime split")


class RawLine(msgspec.Struct, gc=False):
    """One line as the proxy wrote it, without newline.

    Attributes:
        text: The line; bytes that are no UTF-8 are U+FFFD.
        identity: Who wrote it, as far as the envelope says.
        time: The shipper's time of the line, as it was written; see `shipper_time_us`.
    """

    text: str
    identity: Identity
    time: object = None


class Heartbeat(msgspec.Struct, frozen=True):
    """The log path of a node was alive.

    Attributes:
        identity: Node and cluster.
        time_us: When it was written, µs since the epoch; 0: it does not say.
    """

    identity: Identity
    time_us: int


Piece = RawLine | Heartbeat | Quarantined


class _Envelope(msgspec.Struct, gc=False):
    """The keys by which shapes are told apart; everything else is skipped while decoding."""

    log: Any = None
    message: Any = None
    kubernetes: msgspec.Raw = msgspec.Raw()
    time: Any = None
    timestamp: Any = None
    at_timestamp: Any = msgspec.field(name="@timestamp", default=None)
    date: Any = None
    start_time: Any = None
    mirrorproof: Any = None
    node: Any = None
    cluster: Any = None

    def written(self) -> object:
        """The shipper's time of the line: the container runtime's first, it is nearest."""
        for value in (self.time, self.timestamp, self.at_timestamp, self.date):
            if value is not None:
                return value
        return None


_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode

_cri_line: Final = re.compile(r"(\d{4}-\d\d-\d\dT\S{8,32}) (?:stdout|stderr) ([FP]) ").match
# `kubectl logs --timestamps` and `--prefix`.
_stamped_line: Final = re.compile(r"(\d{4}-\d\d-\d\dT\S{8,32}) (?=[\[{])").match
_kubectl_prefix: Final = re.compile(r"\[pod/([^/\]\s]{1,253})/([^/\]\s]{1,253})\] ").match


def unwrap(value: bytes, identity: Identity = _UNKNOWN) -> list[Piece]:
    """The lines in a value, in order; at least one piece, also of an empty value.

    Args:
        value: A Kafka record's value, or one line of a file.
        identity: What is known of the writer without the envelope; the envelope wins.
    """
    if len(value) > MAX_VALUE_BYTES:
        return [_TOO_LARGE]
    return _unwrap(value, identity, 0, None)


def _unwrap(value: bytes, identity: Identity, depth: int, time: object) -> list[Piece]:
    first = value[:1]
    if depth < _MAX_DEPTH:
        if first == b"{":
            found = _unwrap_object(value, identity, depth, time)
        elif first == b'"':
            found = _unwrap_quoted(value, identity, depth)
        elif value[:2] == b"[{":
            found = _unwrap_array(value, identity, depth)
        else:
            found = None
        if found is not None:
            return found
    return _lines(value.decode("utf-8", "replace"), identity, depth, time)


def _unwrap_object(
    value: bytes, identity: Identity, depth: int, time: object
) -> list[Piece] | None:
    """A JSON object by its shape, or None when it is none or of no known shape."""
    try:
        envelope = _decode_envelope(value)
    except DECODE_ERRORS:
        return _unwrap_repaired(value, identity, depth, time)
    if envelope.kubernetes:
        identity = kubernetes_identity(bytes(envelope.kubernetes), identity)
    for shape in _SHAPES:
        found = shape(envelope, value, identity, depth)
        if found is not None:
            return found
    return None


def _unwrap_repaired(
    value: bytes, identity: Identity, depth: int, time: object
) -> list[Piece] | None:
    """A second try for an object with bytes that are no UTF-8, which Envoy does log."""
    repaired = value.decode("utf-8", "replace").encode()
    if repaired == value:
        return None
    return _unwrap(repaired, identity, depth + 1, time)


def _heartbeat(
    envelope: _Envelope, _value: bytes, identity: Identity, _depth: int
) -> list[Piece] | None:
    if envelope.mirrorproof != "heartbeat":
        return None
    node = envelope.node if isinstance(envelope.node, str) else identity.node
    cluster = envelope.cluster if isinstance(envelope.cluster, str) else identity.cluster
    alive = Identity(node=node, cluster=cluster)
    return [Heartbeat(alive, shipper_time_us(envelope.written()))]


def _line_in_key(
    envelope: _Envelope, _value: bytes, identity: Identity, depth: int
) -> list[Piece] | None:
    """Fluent Bit, Fluentd, Docker (`log`); Filebeat, Vector, Logstash, plain CRI (`message`)."""
    text = envelope.log if isinstance(envelope.log, str) else envelope.message
    if not isinstance(text, str):
        return None
    if envelope.start_time is not None:
        return None  # an access log of its own that has a key of that name
    return _lines(text, identity, depth, envelope.written())


def _lifted_fields(
    envelope: _Envelope, value: bytes, identity: Identity, _depth: int
) -> list[Piece] | None:
    """A JSON access log: bare, or with its keys lifted into the envelope (`merge_log`)."""
    if envelope.start_time is None:
        return None
    return [RawLine(value.decode("utf-8", "replace").strip(), identity, envelope.written())]


_Shape = Callable[[_Envelope, bytes, Identity, int], "list[Piece] | None"]
_SHAPES: Final[tuple[_Shape, ...]] = (_heartbeat, _line_in_key, _lifted_fields)


def _unwrap_quoted(value: bytes, identity: Identity, depth: int) -> list[Piece] | None:
    """A JSON string: OpenTelemetry's `raw` encoding of a text body."""
    try:
        text = _decode_text(value)
    except DECODE_ERRORS:
        return None
    return _lines(text, identity, depth, None)


def _unwrap_array(value: bytes, identity: Identity, depth: int) -> list[Piece] | None:
    """A JSON array of records, as some HTTP bridges batch them."""
    try:
        items = _decode_items(value)
    except DECODE_ERRORS:
        return None
    return [piece for item in items for piece in _unwrap(bytes(item), identity, depth + 1, None)]


def _lines(text: str, identity: Identity, depth: int, time: object) -> list[Piece]:
    """The lines of a text; one that is an envelope again is unwrapped."""
    text = text.rstrip("\r\n")
    if "\n" not in text:
        return _line(text, identity, depth, time)
    parts = (part.rstrip("\r") for part in text.split("\n"))
    return [piece for part in parts if part for piece in _line(part, identity, depth, time)]


def _line(text: str, identity: Identity, depth: int, time: object) -> list[Piece]:
    first = text[:1]
    if first == "[" and text[1:5] == "pod/" and depth < _MAX_DEPTH:
        return _prefixed(text, identity, depth, time)
    if first == "[" or depth >= _MAX_DEPTH:  # Istio's text format: the common case
        return [RawLine(text, identity, time)]
    if first == "{":
        if '"start_time"' in text:  # an access log; quotes within its strings are escaped
            return [RawLine(text, identity, time)]
        return _inner_object(text, identity, depth, time)
    cri = _cri_line(text) if first in "12" and first else None
    if cri is None:
        stamped = _stamped_line(text) if first in "12" and first else None
        if stamped is not None:
            return _line(text[stamped.end() :], identity, depth + 1, stamped[1])
        return [RawLine(text, identity, time)]
    if cri[2] == "P":
        return [_SPLIT_LINE]
    return _line(text[cri.end() :], identity, depth + 1, cri[1])


def _prefixed(text: str, identity: Identity, depth: int, time: object) -> list[Piece]:
    """A line of `kubectl logs --prefix`, which names its pod."""
    prefix = _kubectl_prefix(text)
    if prefix is None:
        return [RawLine(text, identity, time)]
    named = msgspec.structs.replace(identity, pod=prefix[1], container=prefix[2])
    return _line(text[prefix.end() :], named, depth + 1, time)


def _inner_object(text: str, identity: Identity, depth: int, time: object) -> list[Piece]:
    """A line that begins as JSON: an envelope within, or the line itself."""
    value = text.encode("utf-8", "replace")
    found = _unwrap_object(value, identity, depth + 1, time)
    return [RawLine(text, identity, time)] if found is None else found


def shipper_time_us(value: object) -> int:
    """A shipper's time in µs since the epoch, from any of its notations; 0: none.

    RFC 3339 text (without zone: UTC), or a number of seconds, ms, µs or ns since the epoch.
    """
    if isinstance(value, str):
        try:
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
