"""Who wrote a line, in the words of each shipper."""

from __future__ import annotations

from typing import Any, Final

import msgspec

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
_LABEL_KEYS: Final = ("labels", "pod_labels")
_identities: dict[tuple[bytes, Identity], Identity] = {}


def kubernetes_identity(raw: bytes, identity: Identity) -> Identity:
    """Who wrote a line, from an envelope's `kubernetes` object; pods are few, so it is cached.

    Args:
        raw: The object as JSON, in the words of any shipper. Anything else changes nothing.
        identity: What is known otherwise; fields that the object lacks stay.
    """
    key = (raw, identity)
    found = _identities.get(key)
    if found is None:
        found = _read_identity(raw, identity)
        if len(_identities) >= _IDENTITY_CACHE_LIMIT:
            _identities.clear()
        _identities[key] = found
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
        if isinstance(labels, dict):
            return tuple(sorted((k, v) for k, v in labels.items() if isinstance(v, str)))
    return ()
