"""How many requests a mirror gets, as Istio understands the field.

Source: Istio `pilot/pkg/networking/core/route/route.go`, MirrorPercent: `mirrorPercentage` comes
before the deprecated `mirrorPercent`, 0 means no mirror, absent means 100, and the value is
truncated to parts of a million.
"""

from __future__ import annotations

from typing import Final

from verifier.policies.model import ALWAYS, Lint
from verifier.policies.node import Node

_PARTS_PER_PERCENT: Final = 10_000


def truncate(value: float) -> float:
    """A percentage as Istio hands it to the proxies: whole ten-thousandths, rounded down."""
    return int(value * _PARTS_PER_PERCENT) / _PARTS_PER_PERCENT


def read_percentage(node: Node) -> tuple[float, list[Lint]]:
    """The percentage of an `{value: N}` field and what is odd about it; absent means 100.

    Raises:
        UsageError: It is no number between 0 and 100.
    """
    if not node.present:
        return ALWAYS, []
    node.fields()
    field = node.get("value")
    return kept_share(field, field.number(0, 100) if field.present else 0.0)


def kept_share(field: Node, value: float) -> tuple[float, list[Lint]]:
    """What Istio keeps of a percentage, and what is odd about it."""
    kept = truncate(value)
    if value and not kept:
        message = f"{value:g} % is truncated to 0 by Istio: no request is mirrored"
        return kept, [field.lint("error", "percentage-truncated-to-zero", message)]
    if abs(kept - value) > 1e-9:
        message = f"{value:.12g} % is truncated to {kept:g} % by Istio"
        return kept, [field.lint("note", "percentage-truncated", message)]
    return kept, []


def read_route_percentage(route: Node) -> tuple[float, list[Lint]]:
    """The percentage of a route's `mirror`, from its new or its deprecated field.

    Raises:
        UsageError: It is no number between 0 and 100.
    """
    new = route.get("mirrorPercentage", "mirror_percentage")
    old = route.get("mirrorPercent", "mirror_percent")
    if not old.present:
        return read_percentage(new)
    message = "mirrorPercent is deprecated, and mirrorPercentage comes before it"
    lints = [old.lint("warning", "deprecated-mirror-percent", message)]
    if new.present:
        percent, more = read_percentage(new)
        return percent, lints + more
    return float(old.integer(0, 100)), lints
