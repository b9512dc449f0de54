"""Who wrote a line, in the words of each shipper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from collector.envelopes import paths
from collector.records import Identity

DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError)
"""What decoding foreign JSON raises: syntax, UTF-8, types, nesting, integers of 5000 digits."""

_IDENTITY_CACHE_LIMIT: Final = 10_000
_decode_any: Final = msgspec.json.Decoder().decode

# Where shippers put who wrote the line, below `kubernetes`. Fluent Bit and Fluentd, then
# Vector, then Filebeat. Sources: mirroring facts in CONTRIBUTING, one test for each.
_IDENTITY_PATHS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "pod": (("pod_name",), ("pod", "name")),
    "namespace": (("namespace_name",), ("pod_namespace",), ("namespace",)),
    "node": (("host",), ("pod_node_name",), ("node", "name"), ("node_name",)),
    "container": (("container_name",), ("container", "name")),
    "cluster": (("cluster_name",), ("cluster", "name")),
}
_LABEL_KEYS: Final = ("labels", "pod_labels", "flat_labels")
_LABEL_PREFIXES: Final = ("k8s.pod.labels.", "k8s.pod.label.", "kubernetes_labels_")
_identities: dict[tuple[bytes, Identity], Identity] = {}
_latest: dict[bytes, tuple[Identity, Identity]] = {}
"""The same by the object alone, with what was known otherwise: nearly always the same, too."""


def kubernetes_identity(raw: bytes, identity: Identity) -> Identity:
    """Who wrote a line, from an envelope's `kubernetes` object; pods are few, so it is cached.

    Args:
        raw: The object as JSON, in the words of any shipper. Anything else changes nothing.
        identity: What is known otherwise; fields that the object lacks stay.
    """
    latest = _latest.get(raw)
    if latest is not None and latest[0] is identity:  # so nothing needs to be hashed but bytes
        return latest[1]
    key = (raw, identity)
    found = _identities.get(key)
    if found is None:
        found = _read_identity(raw, identity)
        if len(_identities) >= _IDENTITY_CACHE_LIMIT:
            _identities.clear()
        _identities[key] = found
    if len(_latest) >= _IDENTITY_CACHE_LIMIT:
        _latest.clear()
    _latest[raw] = (identity, found)
    return found


def _read_identity(raw: bytes, identity: Identity) -> Identity:
    try:
        kubernetes = _decode_any(raw)
    except DECODE_ERRORS:
        return identity
    if not isinstance(kubernetes, dict):
        return identity
    fields = {
        name: _first_text(kubernetes, paths) or getattr(identity, name)
        for name, paths in _IDENTITY_PATHS.items()
    }
    return Identity(**fields, labels=_labels(kubernetes) or identity.labels)


def _first_text(document: dict[str, Any], paths: tuple[tuple[str, ...], ...]) -> str:
    for path in paths:
        value: Any = document
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, str) and value:
            return value
    return ""


def _labels(kubernetes: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    for key in _LABEL_KEYS:
        labels = kubernetes.get(key)
        if isinstance(labels, list):  # OpenShift's `flat_labels`
            labels = dict(
                one.split("=", 1) for one in labels if isinstance(one, str) and "=" in one
            )
        if isinstance(labels, dict):
            return tuple(sorted((k, v) for k, v in labels.items() if isinstance(v, str)))
    return ()


def attributes_identity(attributes: Iterable[tuple[str, object]], identity: Identity) -> Identity:
    """Who wrote a line, from flat attributes such as OpenTelemetry's `k8s.pod.name`.

    Args:
        attributes: Names and values; of others than text nothing is taken.
        identity: What is known otherwise; the attributes win, but a file's path does not.
    """
    known: dict[str, Any] = {}
    labels: list[tuple[str, str]] = []
    path: Identity | None = None
    for name, value in attributes:
        if not isinstance(value, str) or not value:
            continue
        field = _ATTRIBUTES.get(name)
        if field is not None:
            known[field] = value
        elif name.startswith(_LABEL_PREFIXES):
            labels.append((_without_prefix(name), value))
        elif name == "log.file.path":
            path = paths.of_path(value)
        elif name == "node_name":
            known |= _envoy_node(value)
    if labels:
        known["labels"] = tuple(sorted(labels))
    if known:
        identity = msgspec.structs.replace(identity, **known)
    return identity if path is None else paths.fill(identity, path)


def entry_identity(attributes: Mapping[str, object], identity: Identity) -> Identity:
    """Who wrote one line of an OTLP batch: its own attributes, Fluent Bit's object among them."""
    identity = attributes_identity(attributes.items(), identity)
    kubernetes = attributes.get("kubernetes")
    if isinstance(kubernetes, dict):
        identity = kubernetes_identity(msgspec.json.encode(kubernetes), identity)
    return identity


def flat_identity(fields: Mapping[str, object], identity: Identity) -> Identity:
    """Who wrote a line, from names that were flattened with `_`, as GELF has them."""
    return attributes_identity(
        ((_dotted(name.lstrip("_")), value) for name, value in fields.items()), identity
    )


def _dotted(name: str) -> str:
    return name if name.startswith(_LABEL_PREFIXES) else name.replace("_", ".")


# Envoy's own OpenTelemetry log names its node so: sidecar~ADDRESS~POD.NAMESPACE~DOMAIN.
_envoy_node_id: Final = re.compile(r"[a-z]{1,20}~[^~]*~([^~]+)\.([^~.]+)~").match
_ATTRIBUTES: Final = {name: field for name, field in paths.NAMES.items() if "." in name}


def _envoy_node(value: str) -> dict[str, str]:
    found = _envoy_node_id(value)
    return {"pod": found[1], "namespace": found[2]} if found else {}


def _without_prefix(name: str) -> str:
    for prefix in _LABEL_PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


# What a proxy or its client wrote never says who wrote it: a request's path may look like a file's.
_LINE_KEYS: Final = frozenset({"log", "message", "msg", "short_message", "full_message", "event"})
_TRUSTED_KEYS: Final = frozenset(
    {"file", "filename", "file_path", "filepath", "source", "tag", "log.file.path", "tailed_path"}
)
_names_pod: Final = re.compile(rb'"(?:k8s[._]|kubernetes[._])?pod(?:[._]name)?"').search


def identity_beside(value: bytes, identity: Identity, *, lifted: bool = False) -> Identity:
    """Who wrote a line, by what stands beside it in its envelope: names, or its file's path.

    Whatever key the path has (`file`, `tag`, `log.file.path`, one of the user's), it is known by
    its form; it wins over what the record's key seemed to say. Only for records whose pod and
    namespace are not known yet: it takes a second look at all keys.

    Args:
        value: The record, a JSON object.
        identity: What is known otherwise.
        lifted: The fields of the access log are among the keys: only a path that is called so
            counts, or one within an object.
    """
    if b"pod" not in value and b"containers" not in value:
        return identity
    named = _names_pod(value) is not None
    if not named and b"containers" not in value and b"pods" not in value:
        return identity
    try:
        envelope = _decode_any(value)
    except DECODE_ERRORS:
        return identity
    if named:
        identity = _named(envelope, identity)
    if identity.pod and identity.namespace:
        return identity
    path = _find_path(envelope, lifted)
    if path is None:
        return identity
    who = {"pod": path.pod, "namespace": path.namespace, "container": path.container}
    return msgspec.structs.replace(identity, **who)


def _named(fields: Mapping[str, object], identity: Identity) -> Identity:
    """In-line fields such as `pod_name`, as of `%ENVIRONMENT(POD_NAME)%` in an access log."""
    known = {
        field: text
        for name, text in fields.items()
        if isinstance(text, str) and text and (field := paths.NAMES.get(name))
    }
    return msgspec.structs.replace(identity, **known) if "pod" in known else identity


def _find_path(fields: Mapping[str, Any], lifted: bool, depth: int = 3) -> Identity | None:
    for name, value in fields.items():
        found = None
        if isinstance(value, dict) and depth:
            found = _find_path(value, False, depth - 1)
        elif isinstance(value, str) and (
            name in _TRUSTED_KEYS if lifted else name not in _LINE_KEYS
        ):
            found = paths.of_path(value)
        if found is not None:
            return found
    return None
