"""Lines of a watch: what happened to which object. Pure.

Source: Kubernetes API concepts, watch events; `Status` of the API conventions.
"""

from __future__ import annotations

from typing import Final

import msgspec

from verifier.cluster.resources import Name


class Change(msgspec.Struct, frozen=True):
    """One event.

    Attributes:
        type: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.
        name: Of the object; empty: it has none.
        version: Up to which all is known with it; empty: it says none.
        data: JSON of the object.
        code: Of an error, as of HTTP.
        message: Of an error.
    """

    type: str
    name: Name
    version: str
    data: bytes
    code: int = 0
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Meta(msgspec.Struct, rename={"version": "resourceVersion"}):
    name: str = ""
    namespace: str = ""
    version: str = ""


class _Object(msgspec.Struct):
    """What every object has; a `Status`, which an error is, has a code besides."""

    metadata: _Meta = msgspec.field(default_factory=_Meta)
    code: int = 0
    message: str = ""


_event: Final = msgspec.json.Decoder(_Event).decode
_object: Final = msgspec.json.Decoder(_Object).decode


def read_change(line: bytes) -> Change:
    """A line of a watch. Raises ValueError: it is none."""
    try:
        event = _event(line)
        head = _object(event.object)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    name = (head.metadata.namespace, head.metadata.name)
    version = head.metadata.version
    return Change(event.type, name, version, bytes(event.object), head.code, head.message)


def name_of(data: bytes) -> Name:
    """The name of an object. Raises ValueError: it is none."""
    try:
        meta = _object(data).metadata
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    return meta.namespace, meta.name
