"""VirtualServices that leave a path to another one (`delegate`): the routes merged.

Istio does the same before it makes any route, so the merged routes are what proxies know. A
delegate has no hosts, and may not delegate again.

Source: Istio `pilot/pkg/model/virtualservice.go`, mergeHTTPRoutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from verifier.policies.node import Node

Routes = list[tuple[Node, str]]
"""Http routes in order, each with the namespace that its short host names belong to."""

_MAX_MATCHES: Final = 1000
_TEXTS: Final = ("uri", "method", "authority", "scheme")
"""Fields of a match whose value is one text match: they are replaced, not joined."""
_FILLED: Final = ("mirror", "mirrorPercent", "mirrorPercentage", "mirrors")
"""Fields about mirroring that a delegate's route takes from the root when it has none."""


def http_routes(spec: Node, namespace: str, delegates: Mapping[str, Node]) -> Routes:
    """The http routes of a VirtualService, those of its delegates in their places.

    Args:
        spec: Of the VirtualService.
        namespace: Its namespace.
        delegates: The specs of VirtualServices without hosts, by `NAMESPACE/NAME`.

    Raises:
        UsageError: A delegate is in none of the files, or the merge would be huge.
    """
    found: Routes = []
    for route in spec.get("http").items():
        route.fields()
        delegate = route.get("delegate")
        if not delegate.present:
            found.append((route, namespace))
            continue
        home = delegate.get("namespace").text(namespace)
        name = f"{home}/{delegate.get('name').text()}"
        target = delegates.get(name)
        if target is None:
            raise delegate.error(f"VirtualService {name} is in none of the policy files")
        for inner in target.get("http").items():
            if inner.get("delegate").present:
                raise inner.get("delegate").error("a delegate cannot delegate again")
            found.append((_merged(route, inner), home))
    return found


def _merged(root: Node, inner: Node) -> Node:
    """A delegate's route under the conditions of its root."""
    fields: dict[str, Any] = {key: field.value for key, field in inner.fields().items()}
    for key in _FILLED:
        value = root.get(key).value
        if fields.get(key) is None and value is not None:
            fields[key] = value
    outer = [entry.fields() for entry in root.get("match").items()]
    nested = [entry.fields() for entry in inner.get("match").items()]
    if len(outer) * len(nested) > _MAX_MATCHES:
        raise inner.get("match").error("has too many conditions, together with its root")
    fields["match"] = [_both(one, two) for one in outer or [{}] for two in nested or [{}]]
    return Node(fields, inner.source, inner.path)


def _both(outer: dict[str, Node], nested: dict[str, Node]) -> dict[str, Any]:
    """Both conditions at once; Istio accepts only nested ones that narrow the outer."""
    merged: dict[str, Any] = {key: field.value for key, field in outer.items()}
    for key, field in nested.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(field.value, dict) and key not in _TEXTS:
            merged[key] = {**before, **field.value}
        else:
            merged[key] = field.value
    return merged
