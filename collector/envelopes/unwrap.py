"""From a Kafka value (or a file's line) to the log lines in it and who wrote them.

Shippers wrap lines in JSON, each in its way. The shape is found by looking, never configured;
`collector.envelopes.objects` knows them, and what fits none is a line by itself. Values are
unwrapped recursively, as shippers are chained (a Docker record inside a Fluent Bit one).

A *heartbeat* is a record that says only that a node's log path is alive:
`{"mirrorproof": "heartbeat", "node": "node-a", "time": "2026-11-22T15:11:42Z"}`, as a Kafka value
or printed to standard output by a pod on that node, so that it takes the way of the logs.

Nothing here raises, whatever the bytes are.
"""

from __future__ import annotations

from typing import Final

import msgspec

from collector.envelopes import otlp, otlp_proto, shapes
from collector.envelopes.binary import is_binary, msgpack_record
from collector.envelopes.found import (
    BINARY,
    MAX_DEPTH,
    MAX_LINES,
    MAX_VALUE_BYTES,
    TOO_DEEP,
    TOO_LARGE,
    TOO_MANY,
    Found,
    Piece,
    RawLine,
)
from collector.envelopes.identities import (
    DECODE_ERRORS,
    attributes_identity,
    entry_identity,
    identity_beside,
    kubernetes_identity,
)
from collector.envelopes.prefixes import cri_line, kubectl_prefix, shipper_prefix
from collector.envelopes.shapes import BLANKS, MARK, Envelope, decode_envelope
from collector.formats.parse import Quarantined
from collector.records import Identity

_UNKNOWN: Final = Identity()
_BAD_OTLP: Final = Quarantined("an OTLP batch that cannot be read")
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def unwrap(value: bytes, identity: Identity = _UNKNOWN) -> list[Found]:
    """What is in a value, in order; at least one thing, also of an empty value.

    Args:
        value: A Kafka record's value, or one line of a file.
        identity: What is known of the writer without the envelope; the envelope wins.
    """
    if len(value) > MAX_VALUE_BYTES:
        return [TOO_LARGE]
    found = _unwrap(value, identity, 0)
    if len(found) > MAX_LINES:
        return [TOO_MANY]
    return found or [RawLine("", identity)]


def _unwrap(value: bytes, identity: Identity, depth: int) -> list[Found]:
    first = value[:1]
    if first == b"{":
        return _unwrap_object(value, identity, depth, None, "")
    if first == b"[" and value[1:2].isdigit():  # Istio's text format: the common case
        return _lines(value.decode("utf-8", "replace"), identity, depth, None, "")
    found: list[Found] | None = None
    if first == b'"':
        found = _unwrap_quoted(value, identity, depth)
    elif first == b"[":
        found = _unwrap_array(value, identity, depth)
    elif first == otlp_proto.FIRST_BYTE and (batch := otlp_proto.decode(value)) is not None:
        found = _unwrap_otlp(batch, identity, depth)
    elif first in BLANKS or value[:3] == MARK:
        plain = value.removeprefix(MARK).lstrip(BLANKS)
        found = _unwrap(plain, identity, depth) if plain[:1] in (b"{", b"[", b'"') else None
    elif is_binary(value):
        found = _unwrap_binary(value, identity, depth)
    if found is not None:
        return found
    return _lines(value.decode("utf-8", "replace"), identity, depth, None, "")


def _unwrap_object(
    value: bytes, identity: Identity, depth: int, time: object, stream: str
) -> list[Found]:
    """A JSON object by its shape; one of no known shape, or broken, is a line."""
    if depth >= MAX_DEPTH:
        return [TOO_DEEP]
    try:
        return _unwrap_known(value, identity, depth, time, stream)
    except DECODE_ERRORS:
        return _unwrap_broken(value, identity, depth, time, stream)


def _unwrap_known(
    value: bytes, identity: Identity, depth: int, time: object, stream: str
) -> list[Found]:
    """The same; raises one of DECODE_ERRORS, also for bad bytes in keys that decoding skips."""
    envelope = decode_envelope(value)
    if envelope.kubernetes:
        identity = kubernetes_identity(bytes(envelope.kubernetes), identity)
    if envelope.orchestrator:
        identity = kubernetes_identity(bytes(envelope.orchestrator), identity)
    text = envelope.line()
    if text is not None:
        if not (identity.pod and identity.namespace):
            identity = identity_beside(value, identity)
        return _line_in_key(envelope, value, text, identity, depth)
    if envelope.mirrorproof == "heartbeat":
        return [shapes.heartbeat(envelope, identity)]
    if envelope.resource_logs:
        return _unwrap_otlp_json(value, identity, depth)
    if envelope.start_time is not None:
        return _lifted(envelope, value, identity, time, stream)
    return _unwrap_other(envelope, value, identity, depth, time, stream)


def _unwrap_broken(
    value: bytes, identity: Identity, depth: int, time: object, stream: str
) -> list[Found]:
    """What begins as an object and is none: several a value, or with bytes that are no UTF-8.

    Envoy does log such bytes.
    """
    text = value.decode("utf-8", "replace")
    if "\n" in text.rstrip("\r\n"):
        return _lines(text, identity, depth + 1, time, stream)
    repaired = text.encode()
    if repaired != value:
        return _unwrap_object(repaired, identity, depth + 1, time, stream)
    return [RawLine(text.rstrip("\r\n"), identity, time, stream)]


def _line_in_key(
    envelope: Envelope, value: bytes, text: str, identity: Identity, depth: int
) -> list[Found]:
    """Fluent Bit, Fluentd, Docker (`log`); Filebeat, Vector, Logstash, plain CRI (`message`)."""
    stream = envelope.stream if isinstance(envelope.stream, str) else ""
    if envelope.logtag == "P":
        return [Piece(text.rstrip("\r\n"), identity, envelope.written(), stream)]
    if stream and text[-1:] != "\n" and shapes.is_docker_piece(envelope, value, text):
        return [Piece(text, identity, envelope.written(), stream, unsure=True)]
    text = text.rstrip("\r\n")
    if text[:1] == "[" and "\n" not in text and text[1:5] != "pod/":  # most are of this kind
        return [RawLine(text, identity, envelope.written(), stream)]
    return _lines(text, identity, depth + 1, envelope.written(), stream)


def _lifted(
    envelope: Envelope, value: bytes, identity: Identity, time: object, stream: str
) -> list[Found]:
    """A JSON access log: bare, or with its keys lifted into the envelope (`merge_log`)."""
    enveloped = shapes.is_enveloped(envelope)
    known = identity.pod and identity.namespace
    if not known and (enveloped or envelope.names_pod()):
        identity = identity_beside(value, identity, lifted=True)
    if not enveloped:
        return [RawLine(value.decode("utf-8", "replace").strip(), identity, time, stream)]
    if isinstance(envelope.stream, str):
        stream = envelope.stream
    text = envelope.kept_line() or shapes.without_envelope(value)
    return [RawLine(text, identity, envelope.written(), stream)]


def _unwrap_other(
    envelope: Envelope, value: bytes, identity: Identity, depth: int, time: object, stream: str
) -> list[Found]:
    """Shapes that are rare, and objects that are no envelope."""
    inner = shapes.inner_object(value)
    if inner is None:
        if not (identity.pod and identity.namespace):
            identity = identity_beside(value, identity, lifted=True)
        text = value.decode("utf-8", "replace").strip()
        return [RawLine(text, identity, time, stream)]
    if not (identity.pod and identity.namespace):
        identity = identity_beside(value, identity)
    written = envelope.written()
    if isinstance(inner, str):  # GELF
        identity = shapes.gelf_identity(value, identity)
        return _lines(inner, identity, depth + 1, written, stream)
    return _unwrap_object(inner, identity, depth + 1, time if written is None else written, stream)


def _unwrap_otlp_json(value: bytes, identity: Identity, depth: int) -> list[Found]:
    try:
        return _unwrap_otlp(otlp.decode_json(value), identity, depth)
    except DECODE_ERRORS:
        return [_BAD_OTLP]


def _unwrap_otlp(batch: otlp.Logs, identity: Identity, depth: int) -> list[Found]:
    found: list[Found] = []
    writer, resource = identity, None
    for entry in otlp.entries(batch):
        if entry.resource is not resource:
            resource = entry.resource
            writer = attributes_identity(resource.items(), identity)
        who = entry_identity(entry.attributes, writer)
        stream = str(entry.attributes.get("log.iostream") or entry.attributes.get("stream") or "")
        time = entry.time or None
        if entry.attributes.get("logtag") == "P":
            # A line that the shipper joined keeps the tag of its first piece.
            found.append(Piece(entry.body, who, time, stream, unsure=True))
        else:
            found += _lines(entry.body, who, depth + 1, time, stream)
        if len(found) > MAX_LINES:
            return [TOO_MANY]
    return found


def _unwrap_quoted(value: bytes, identity: Identity, depth: int) -> list[Found] | None:
    """A JSON string: OpenTelemetry's `raw` encoding of a text body."""
    try:
        text = _decode_text(value)
    except DECODE_ERRORS:
        return None
    return _lines(text, identity, depth + 1, None, "")


def _unwrap_array(value: bytes, identity: Identity, depth: int) -> list[Found] | None:
    """A JSON array of records, as some HTTP bridges batch them."""
    try:
        items = _decode_items(value)
    except DECODE_ERRORS:
        return None
    if depth >= MAX_DEPTH:
        return [TOO_DEEP]
    if len(items) > MAX_LINES:
        return [TOO_MANY]
    return [found for item in items for found in _unwrap(bytes(item), identity, depth + 1)]


def _unwrap_binary(value: bytes, identity: Identity, depth: int) -> list[Found]:
    record = msgpack_record(value)
    return [BINARY] if record is None else _unwrap_object(record, identity, depth + 1, None, "")


def _lines(text: str, identity: Identity, depth: int, time: object, stream: str) -> list[Found]:
    """The lines of a text; one that is an envelope again is unwrapped."""
    text = text.rstrip("\r\n")
    if "\n" not in text:
        return _line(text, identity, depth, time, stream)
    if text.count("\n") > MAX_LINES:
        return [TOO_MANY]
    parts = (part.rstrip("\r") for part in text.split("\n"))
    return [found for part in parts if part for found in _line(part, identity, depth, time, stream)]


def _line(text: str, identity: Identity, depth: int, time: object, stream: str) -> list[Found]:
    first = text[:1]
    if first == "[":
        if text[1:5] == "pod/":
            return _prefixed(text, identity, depth, time, stream)
        return [RawLine(text, identity, time, stream)]  # Istio's text format: the common case
    if first == "{":
        # An access log: quotes within its strings are escaped. Objects in it make it another.
        if identity.pod and '"start_time"' in text and text.find("{", 1) < 0:
            return [RawLine(text, identity, time, stream)]
        value = text.encode("utf-8", "replace")
        return _unwrap_object(value, identity, depth, time, stream)
    if first in {"1", "2"}:  # of a year
        return _dated(text, identity, depth, time, stream)
    return [RawLine(text, identity, time, stream)]


def _dated(text: str, identity: Identity, depth: int, time: object, stream: str) -> list[Found]:
    """A line that begins with a time: a container runtime's, or with a shipper's prefix."""
    cri = cri_line(text)
    if cri is None:
        prefix = shipper_prefix(text)
        if prefix is None:
            return [RawLine(text, identity, time, stream)]
        if depth >= MAX_DEPTH:
            return [TOO_DEEP]
        return _line(text[prefix.end() :], identity, depth + 1, prefix[1], stream)
    rest = text[cri.end() :]
    if cri[3] == "P":
        return [Piece(rest, identity, cri[1], cri[2])]
    if depth >= MAX_DEPTH:
        return [TOO_DEEP]
    return _line(rest, identity, depth + 1, cri[1], cri[2])


def _prefixed(text: str, identity: Identity, depth: int, time: object, stream: str) -> list[Found]:
    """A line of `kubectl logs --prefix`, which names its pod."""
    prefix = kubectl_prefix(text)
    if prefix is None:
        return [RawLine(text, identity, time, stream)]
    if depth >= MAX_DEPTH:
        return [TOO_DEEP]
    named = msgspec.structs.replace(identity, pod=prefix[1], container=prefix[2])
    return _line(text[prefix.end() :], named, depth + 1, time, stream)
