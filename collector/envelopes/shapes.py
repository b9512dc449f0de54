"""The keys by which JSON envelopes are told apart, and what is theirs and what is the line's."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from collector.envelopes.found import Heartbeat, shipper_time_us
from collector.envelopes.identities import DECODE_ERRORS, flat_identity
from collector.records import Identity

BLANKS: Final = b" \t\r\n"
MARK: Final = b"\xef\xbb\xbf"
"""UTF-8's byte order mark."""


class Envelope(msgspec.Struct, gc=False):
    """The keys that tell shapes apart; everything else is skipped while decoding."""

    log: Any = None
    message: Any = None
    kubernetes: msgspec.Raw = msgspec.Raw()
    stream: Any = None
    logtag: Any = None
    time: Any = None
    timestamp: Any = None
    at_timestamp: Any = msgspec.field(name="@timestamp", default=None)
    date: Any = None
    start_time: Any = None
    resource_logs: msgspec.Raw = msgspec.field(name="resourceLogs", default=msgspec.Raw())
    orchestrator: msgspec.Raw = msgspec.Raw()
    mirrorproof: Any = None
    node: Any = None
    cluster: Any = None
    pod: Any = None
    pod_name: Any = None

    def line(self) -> str | None:
        """The text that the envelope is around; None: there is none, or it is an access log."""
        if self.start_time is not None:
            return None
        text = self.log if isinstance(self.log, str) else self.message
        return text if isinstance(text, str) else None

    def kept_line(self) -> str:
        """The line itself, where it was kept beside its lifted fields; else empty."""
        for text in (self.log, self.message):
            if isinstance(text, str) and text[:1] == "{":
                return text.strip()
        return ""

    def names_pod(self) -> bool:
        """Whether the pod stands among the fields, as of `%ENVIRONMENT(POD_NAME)%`."""
        return self.pod is not None or self.pod_name is not None

    def written(self) -> object:
        """The shipper's time of the line: the container runtime's first, it is nearest."""
        if self.time is not None:
            return self.time
        if self.timestamp is not None:
            return self.timestamp
        return self.date if self.at_timestamp is None else self.at_timestamp


decode_envelope: Final = msgspec.json.Decoder(Envelope).decode
_decode_raws: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_any: Final = msgspec.json.Decoder().decode


def heartbeat(envelope: Envelope, identity: Identity) -> Heartbeat:
    """The sign of life that an envelope is; node and cluster are its own, or of what it is in."""
    node = envelope.node if isinstance(envelope.node, str) else identity.node
    cluster = envelope.cluster if isinstance(envelope.cluster, str) else identity.cluster
    return Heartbeat(Identity(node=node, cluster=cluster), shipper_time_us(envelope.written()))


_DOCKER_KEYS: Final = frozenset({"log", "stream", "time", "attrs"})
_DOCKER_PIECE_BYTES: Final = 16 * 1024
"""Docker cuts lines into pieces of exactly so many bytes (moby, daemon/logger/copier.go)."""


def is_docker_piece(envelope: Envelope, value: bytes, text: str) -> bool:
    """Whether a `log` without its newline is a piece: of Docker's own file, or of its size.

    Only Docker keeps the newline of a line. Records of the Kubernetes runtime interface have none
    either way; Fluent Bit and Fluentd mark those (`_p`, `logtag`).
    """
    if envelope.log is not text or envelope.logtag is not None:
        return False
    if envelope.kubernetes or envelope.at_timestamp is not None:
        return len(text.encode("utf-8", "replace")) == _DOCKER_PIECE_BYTES and b'"_p"' not in value
    try:
        return _decode_raws(value).keys() <= _DOCKER_KEYS and envelope.time is not None
    except DECODE_ERRORS:
        return False


# What shippers put beside the lifted fields of an access log; never a field of Istio's formats.
_SHIPPERS_KEYS: Final = frozenset(
    {
        "@timestamp",
        "@metadata",
        "@version",
        "kubernetes",
        "docker",
        "container",
        "stream",
        "_p",
        "logtag",
        "log",
        "message",
        "agent",
        "ecs",
        "host",
        "input",
        "event",
        "orchestrator",
        "cloud",
        "fields",
        "source_type",
        "file",
        "filename",
        "tag",
        "tags",
        "date",
        "time",
        "timestamp",
        "offset",
        "source",
        "fluentd_tag",
        "tailed_path",
    }
)


def is_enveloped(envelope: Envelope) -> bool:
    """Whether a JSON access log has a shipper's keys beside its own."""
    beside = envelope.at_timestamp, envelope.stream
    return bool(envelope.kubernetes) or beside != (None, None)


def without_envelope(value: bytes) -> str:
    """The access log alone, without the shipper's keys: the same when it is shipped again."""
    try:
        fields = _decode_raws(value)
    except DECODE_ERRORS:
        return value.decode("utf-8", "replace")
    own = {name: raw for name, raw in fields.items() if name not in _SHIPPERS_KEYS}
    return msgspec.json.encode(own).decode("utf-8", "replace")


_NESTED_KEYS: Final = ("log_processed", "json", "parsed", "structured", "message", "log", "msg")
"""Under which shippers put a parsed line: Fluent Bit's `merge_log_key`, Filebeat's `json`, …"""
_MIN_FIELDS: Final = 5
"""An access log has more fields than this; `log` of Filebeat, with its path, has two."""


def inner_object(value: bytes) -> bytes | str | None:
    """What a rare envelope is around: an object as JSON, a text (GELF); None: it is none.

    Vector's native JSON (`{"log": {…}}`), and parsed lines under a key of their own.
    """
    if b'"short_message"' not in value and b":{" not in value and b": {" not in value:
        return None  # flat: an access log of the user's own keys, mostly
    try:
        fields = _decode_raws(value)
    except DECODE_ERRORS:
        return None
    short = fields.get("short_message")
    if short is not None and "version" in fields:
        text = _decode_any(short)
        return text if isinstance(text, str) else None
    raws = {name: bytes(raw) for name, raw in fields.items()}
    objects = {name: raw for name, raw in raws.items() if raw[:1] == b"{"}
    if len(fields) == 1:
        return objects.get("log")
    for inner in objects.values():
        if b'"start_time"' in inner:
            return inner
    for name in _NESTED_KEYS:
        inner = objects.get(name, b"")
        if inner and len(_decode_raws(inner)) > _MIN_FIELDS:
            return inner
    return None


def gelf_identity(value: bytes, identity: Identity) -> Identity:
    """GELF flattens what is in objects: `_kubernetes_pod_name`, `_kubernetes_labels_version`."""
    return flat_identity(_decode_any(value), identity)
