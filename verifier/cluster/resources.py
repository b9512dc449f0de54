"""Objects of the API server as far as policies concern them. Pure.

Source: Kubernetes API conventions (metadata, managedFields), API concepts (lists, watches).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from verifier.policies import gateway_api, istio
from verifier.policies.node import Node, one_line
from verifier.policies.rules import ANNOTATION

Name = tuple[str, str]
"""Namespace and name."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of objects.

    Attributes:
        name: As in `kind`.
        plural: As in paths.
        group: Of its API; empty: the core.
        versions: Of its API that we can read, the best first.
    """

    name: str
    plural: str
    group: str
    versions: tuple[str, ...]

    def path(self, version: str, namespace: str, name: str = "") -> str:
        """Where its objects are: all, those of a namespace, or one."""
        api = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        inside = f"/namespaces/{namespace}" if namespace else ""
        return f"{api}{inside}/{self.plural}" + (f"/{name}" if name else "")


VIRTUAL_SERVICE: Final = Kind(
    "VirtualService", "virtualservices", istio.GROUP, istio.VERSIONS[::-1]
)
DESTINATION_RULE: Final = Kind(
    "DestinationRule", "destinationrules", istio.GROUP, istio.VERSIONS[::-1]
)
HTTP_ROUTE: Final = Kind("HTTPRoute", "httproutes", gateway_api.GROUP, ("v1", "v1beta1"))
POD: Final = Kind("Pod", "pods", "", ("v1",))
POLICY_KINDS: Final = (VIRTUAL_SERVICE, DESTINATION_RULE, HTTP_ROUTE)


class Resource(msgspec.Struct, frozen=True):
    """A VirtualService, DestinationRule or HTTPRoute. Times in µs since the epoch.

    Attributes:
        kind: Its name.
        namespace: Where it is.
        name: How it is called there.
        created_us: When it was made.
        changed_us: When somebody changed it last; None: not known, or just now.
        document: What the policies' reader reads.
    """

    kind: str
    namespace: str
    name: str
    created_us: int
    changed_us: int | None
    document: dict[str, Any]

    @property
    def title(self) -> str:
        """As `Policy.resource` has it."""
        return f"{self.kind} {self.namespace}/{self.name}"

    def node(self) -> Node:
        """The document for the policies' reader; it names the object, not a file."""
        return Node(self.document, f"cluster {self.title}")


def read_resource(kind: Kind, version: str, data: bytes) -> Resource:
    """An object of a list or an event.

    Args:
        kind: What was asked for; objects in lists do not always say it.
        version: Of the API, as it was asked for.
        data: JSON.

    Raises:
        ValueError: It is no object with a name.
    """
    value = decoded(data)
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        raise ValueError("has no metadata")
    namespace, name = metadata.get("namespace", ""), metadata.get("name")
    if not isinstance(name, str) or not name or not isinstance(namespace, str):
        raise ValueError("has no name")
    # Only these annotations are ours; those of others may be large, and change often.
    notes = metadata.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    own = {key: value for key, value in notes.items() if key.startswith(ANNOTATION)}
    document = {
        "apiVersion": f"{kind.group}/{version}",
        "kind": kind.name,
        "metadata": {"namespace": namespace, "name": name, "annotations": own},
        "spec": value.get("spec"),
    }
    created_us = time_us(metadata.get("creationTimestamp")) or 0
    return Resource(
        kind.name, one_line(namespace), one_line(name), created_us, _changed_us(metadata), document
    )


def decoded(data: bytes) -> dict[str, Any]:
    """JSON that is an object. Raises ValueError."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("is no JSON object")
    return value


def _changed_us(metadata: dict[str, Any]) -> int | None:
    """The last time at which a manager of fields wrote it, its status aside."""
    fields = metadata.get("managedFields")
    entries = [one for one in fields if isinstance(one, dict)] if isinstance(fields, list) else []
    times = [time_us(one.get("time")) for one in entries if one.get("subresource") != "status"]
    known = [found for found in times if found is not None]
    if known:
        return max(known)
    # Never changed since it was made.
    return time_us(metadata.get("creationTimestamp")) if metadata.get("generation") == 1 else None


def time_us(value: object) -> int | None:
    """A time as Kubernetes writes it, RFC 3339, in µs since the epoch; None: it is none."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if found.tzinfo is None else round(found.timestamp() * 1e6)
