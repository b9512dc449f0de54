"""The `rules` of a policy: what the user accepts, and the times that tie lines together."""

from __future__ import annotations

import re
from typing import Final

from verifier.incidents.event import Kind, Severity
from verifier.incidents.kinds import POLICY_KINDS, SPECS
from verifier.policies.model import IncidentRule, Rules
from verifier.policies.node import Node, shown

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(us|ms|s|m|h)")
_UNITS_US: Final = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_MAX_US: Final = 24 * _UNITS_US["h"]
ANNOTATION: Final = "mirrorproof/"
_TIMES: Final = ("horizon", "grace", "change_grace")
_SPANS: Final = ("for", "clear", "repeat")
_KINDS: Final = tuple(kind.value for kind in POLICY_KINDS)
_LEAST_SHARE: Final = 1e-7
"""A tolerated share of nothing could not be told from a single wrong line."""


def read_rules(node: Node) -> Rules:
    """The rules of a policy; what is left out has its default.

    Raises:
        UsageError: A field is unknown or wrong.
    """
    node.only(("tolerance", *_TIMES, "incidents"))
    tolerance = node.get("tolerance")
    times = {f"{name}_us": node.get(name) for name in _TIMES}
    given = {name: read_duration(field) for name, field in times.items() if field.present}
    share = tolerance.number(0, 1) if tolerance.present else 0.0
    told = tuple(_incident(kind, one) for kind, one in _by_kind(node.get("incidents")).items())
    return Rules(tolerance=share, incidents=told, **given)


def _by_kind(node: Node) -> dict[str, Node]:
    return node.only(_KINDS)


def _incident(kind: str, node: Node) -> IncidentRule:
    """What is said of one kind: `false` (YAML's `off`), or what is different."""
    if node.value is False:
        return IncidentRule(kind, enabled=False)
    node.only(("severity", "critical_share", "threshold", *_SPANS))
    threshold = node.get("threshold")
    if threshold.present and SPECS[Kind(kind)].threshold is None:
        raise threshold.error(f"is not for {kind}: no share is tolerated there")
    durations = {name: node.get(name) for name in _SPANS}
    given = {name: read_duration(one) for name, one in durations.items() if one.present}
    return IncidentRule(
        kind,
        severity=_severity(node.get("severity")),
        critical_share=_share(node.get("critical_share"), 1.0),
        threshold=_share(threshold, 0.99),
        for_us=given.get("for"),
        repeat_us=given.get("repeat"),
        clear_us=given.get("clear"),
    )


def _severity(node: Node) -> str | None:
    if not node.present:
        return None
    if node.value not in tuple(Severity):
        raise node.error(f"must be one of {', '.join(Severity)}; is {shown(node.value)}")
    return node.text()


def _share(node: Node, high: float) -> float | None:
    return node.number(_LEAST_SHARE, high) if node.present else None


def annotated_rules(document: Node) -> Rules:
    """The rules of a resource: its annotations `mirrorproof/tolerance`, `mirrorproof/change-grace`.

    Raises:
        UsageError: An annotation of ours is unknown or wrong.
    """
    notes = document.get("metadata").get("annotations")
    own = {
        name.removeprefix(ANNOTATION): field
        for name, field in notes.fields().items()
        if name.startswith(ANNOTATION)
    }
    fields = {name.replace("-", "_"): field.value for name, field in own.items()}
    if "tolerance" in fields:
        # Annotations are always text.
        fields["tolerance"] = _number(fields["tolerance"])
    return read_rules(Node(fields, notes.source, f"{notes.path}[{ANNOTATION}*]"))


def _number(value: object) -> object:
    """A text as the number it stands for; all else as it is, to be refused."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def read_duration(node: Node) -> int:
    """A duration with its unit (`500ms`, `5s`, `1.5m`), in µs, above zero and at most a day.

    Raises:
        UsageError: It is something else.
    """
    match = _DURATION.fullmatch(node.value) if isinstance(node.value, str) else None
    microseconds = round(float(match[1]) * _UNITS_US[match[2]]) if match else 0
    if not 0 < microseconds <= _MAX_US:
        raise node.error(
            f"must be a duration up to 24h with its unit, such as 500ms or 5s; is "
            f"{shown(node.value)}"
        )
    return microseconds
