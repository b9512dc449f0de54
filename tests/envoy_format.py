"""A model of Envoy's formatter: writes the line of a format and of the values of its operators."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from collector.formats.operators import BARE, METHOD, NAME, NUMBER, WORD, Operator, writes
from collector.formats.template import split_format

EASY = "abcXYZ019./:-_|,=;[]{}()@&?%\\é天"
HOSTILE = ['"', " ", '" "', "-", "|", "\t", ",", "x", "0", "1", "=", "[", "]", " id=", "{", ":"]
TIME_FORMATS = {
    None: "%Y-%m-%dT%H:%M:%S.",
    "%s.%3f": "",
    "%Y/%m/%dT%H:%M:%S%z": "%Y/%m/%dT%H:%M:%S+0000",
    "%d/%b/%Y:%H:%M:%S %z": "%d/%b/%Y:%H:%M:%S +0000",
    "%s": "",
}


def time_text(parameter: str | None, us: int) -> str:
    """What START_TIME writes."""
    moment = datetime.fromtimestamp(us // 1_000_000, UTC)
    if parameter is None:
        return moment.strftime(TIME_FORMATS[None] or "") + f"{us // 1000 % 1000:03d}Z"
    if parameter.startswith("%s"):
        tail = f".{us // 1000 % 1000:03d}" if parameter.endswith("f") else ""
        return f"{us // 1_000_000}{tail}"
    return moment.strftime(TIME_FORMATS[parameter] or "")


def values_of(operator: Operator) -> st.SearchStrategy[str]:
    """What an operator may write."""
    if operator.name == "START_TIME":
        moments = st.integers(1_700_000_000_000, 1_900_000_000_000)
        return moments.map(lambda ms: time_text(operator.parameter, ms * 1000))
    kind = writes(operator)
    if kind == NUMBER:
        return st.one_of(st.just("-"), st.integers(0, 10**9).map(str))
    if kind in (WORD, NAME, METHOD):
        letters = EASY.replace("|", "") if kind == WORD else EASY
        return st.one_of(st.just("-"), st.text(letters, min_size=1, max_size=8))
    if kind == BARE:
        return st.one_of(st.just("-"), st.text(EASY + '"', min_size=1, max_size=8))
    hostile = st.lists(st.sampled_from(HOSTILE), max_size=6).map("".join)
    return st.one_of(st.just("-"), st.text(EASY, max_size=8), hostile)


def operators_of(text: str) -> list[Operator]:
    """The operators of a text format."""
    return [part for part in split_format(text) if isinstance(part, Operator)]


def write_text(text: str, values: Sequence[str]) -> str:
    """The line that Envoy writes."""
    left = iter(values)
    return "".join(p if isinstance(p, str) else next(left) for p in split_format(text))


def write_json(document: Mapping[str, Any], values: Mapping[str, str | None]) -> str:
    """The line of a flat JSON format; values by the operator's text, None for missing ones."""
    found: dict[str, Any] = {}
    for key, text in document.items():
        operators = operators_of(text)
        if len(operators) == 1 and operators[0].text == text:
            value = values[text]
            is_number = value is not None and writes(operators[0]) == NUMBER
            found[key] = int(value) if is_number and value is not None else value
        else:
            found[key] = write_text(text, [values[one.text] or "-" for one in operators])
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
