"""The `match` list of a VirtualService's http route → conditions that a line can be asked.

Source: Istio API, HTTPMatchRequest and StringMatch.
"""

from __future__ import annotations

from typing import Final

from verifier.policies.model import Condition, StringMatch
from verifier.policies.node import Node
from verifier.policies.patterns import compile_regex, shape_of

_KINDS: Final = ("exact", "prefix", "regex")
_SHOWN: Final = frozenset({"uri", "method", "authority", "port", "queryParams"})
_SILENT: Final = frozenset({"name", "statPrefix", "ignoreUriCase"})
"""Fields that do not change which requests match."""


def read_matches(route: Node, gateways: frozenset[str]) -> tuple[Condition, ...]:
    """The conditions of an http route; empty when it takes every request.

    Args:
        route: The http route.
        gateways: The gateways of its VirtualService.

    Raises:
        UsageError: A field has the wrong type, or a pattern is wrong.
    """
    found = tuple(_condition(entry, gateways) for entry in route.get("match").items())
    return () if any(one.always_holds() for one in found) else found


def read_string_match(node: Node, ignore_case: bool = False) -> StringMatch:
    """An `exact`, `prefix` or `regex` match.

    Raises:
        UsageError: It has not exactly one of them, or the pattern is wrong.
    """
    fields = node.fields()
    kinds = [kind for kind in _KINDS if kind in fields]
    if len(kinds) != 1 or len(fields) != 1:
        raise node.error("must have exactly one of exact, prefix and regex")
    value = fields[kinds[0]]
    return checked_match(value, StringMatch(kinds[0], value.text(), ignore_case))


def checked_match(node: Node, match: StringMatch) -> StringMatch:
    """The match itself, when its pattern is one.

    Raises:
        UsageError: It is not; the message says why.
    """
    if match.kind == "regex":
        try:
            compile_regex(match.value)
        except ValueError as err:
            raise node.error(f"is no regular expression of RE2: {err}") from err
        # RE2 has no case-insensitive option in Istio's API: ignoreUriCase is for the others.
        return StringMatch("regex", match.value)
    return match


def evaluable(match: StringMatch) -> bool:
    """Whether the match can be evaluated in bounded time, see `verifier.policies.patterns`."""
    return match.kind != "regex" or shape_of(match.value).bounded


def _condition(entry: Node, gateways: frozenset[str]) -> Condition:
    fields = {name: field for name, field in entry.fields().items() if field.present}
    ignore_case = entry.get("ignoreUriCase").flag()
    hidden = _hidden(fields, gateways)
    texts: dict[str, StringMatch | None] = {}
    for name in ("uri", "method", "authority"):
        texts[name] = None
        if name in fields:
            match = read_string_match(fields[name], ignore_case and name == "uri")
            if evaluable(match):
                texts[name] = match
            else:
                hidden.append(f"{name}.regex")
    query = [(k, read_string_match(v)) for k, v in entry.get("queryParams").fields().items()]
    hidden += [f"queryParams.{name}" for name, match in query if not evaluable(match)]
    return Condition(
        path=texts["uri"],
        method=texts["method"],
        authority=texts["authority"],
        port=fields["port"].integer(1, 65535) if "port" in fields else None,
        hidden=tuple(hidden),
        query=tuple((name, match) for name, match in query if evaluable(match)),
    )


def _hidden(fields: dict[str, Node], gateways: frozenset[str]) -> list[str]:
    """The fields that no access log shows, unknown future ones included."""
    hidden = []
    for name, field in fields.items():
        if name in _SHOWN or name in _SILENT:
            continue
        if name in ("headers", "withoutHeaders"):
            hidden += [f"{name}.{header}" for header in field.fields()]
        elif name == "gateways":
            asked = {gateway.text() for gateway in field.items()}
            if "mesh" not in asked and not (gateways and gateways <= asked):
                hidden.append(name)
        elif field.value != {}:
            hidden.append(name)
    return hidden
