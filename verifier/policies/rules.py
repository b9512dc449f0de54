"""The `rules` of a policy: what the user accepts, and the times that tie lines together."""

from __future__ import annotations

import re
from typing import Final

from verifier.policies.model import Rules
from verifier.policies.node import Node, shown

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(us|ms|s|m|h)")
_UNITS_US: Final = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_MAX_US: Final = 24 * _UNITS_US["h"]
_TIMES: Final = ("horizon", "grace", "change_grace")


def read_rules(node: Node) -> Rules:
    """The rules of a policy; what is left out has its default.

    Raises:
        UsageError: A field is unknown or wrong.
    """
    node.only(("tolerance", *_TIMES))
    tolerance = node.get("tolerance")
    times = {f"{name}_us": node.get(name) for name in _TIMES}
    given = {name: read_duration(field) for name, field in times.items() if field.present}
    share = tolerance.number(0, 1) if tolerance.present else 0.0
    return Rules(tolerance=share, **given)


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
