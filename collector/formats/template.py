"""From the text of a format to its parts: literal text and command operators.

Source: Envoy `substitution_formatter`: `%NAME(PARAMETER):LENGTH%`, and `%%` for a per cent sign.
"""

from __future__ import annotations

import difflib
import re
from typing import Final

from collector.errors import UsageError
from collector.formats.operators import NAMES, NEED_PARAMETER, Operator

Part = str | Operator
"""Literal text, never empty, or an operator."""

MAX_FORMAT_CHARACTERS: Final = 16 * 1024
_MAX_OPERATORS: Final = 200
_SHOWN: Final = 40
_match_operator: Final = re.compile(
    r"%([A-Za-z0-9_]+)(?:\((.*?)\))?(?::([0-9]{1,9}))?%", re.DOTALL
).match


def split_format(text: str) -> list[Part]:
    """The parts of a format, literals and operators, in order.

    Args:
        text: The format, without its final newline.

    Raises:
        UsageError: It has an operator that Envoy does not know, or is cut off.
    """
    if len(text) > MAX_FORMAT_CHARACTERS:
        raise UsageError(f"access-log format: longer than {MAX_FORMAT_CHARACTERS} characters")
    parts: list[Part] = []
    literal = ""
    place = 0
    while place < len(text):
        sign = text.find("%", place)
        if sign < 0:
            literal += text[place:]
            break
        literal += text[place:sign]
        if text[sign : sign + 2] == "%%":
            literal += "%"
            place = sign + 2
            continue
        operator = _read_operator(text, sign)
        parts += [literal, operator] if literal else [operator]
        literal = ""
        place = sign + len(operator.text)
    if literal:
        parts.append(literal)
    if len(parts) > 2 * _MAX_OPERATORS:
        raise UsageError(f"access-log format: more than {_MAX_OPERATORS} operators")
    return parts


def _read_operator(text: str, place: int) -> Operator:
    """The operator that begins at a per cent sign. Raises UsageError."""
    match = _match_operator(text, place)
    if match is None:
        raise error_at(
            text,
            place,
            "no command operator; write %NAME%, %NAME(PARAMETER)% or %NAME(PARAMETER):LENGTH%, "
            "and %% for a per cent sign",
        )
    name, parameter, length = match.groups()
    operator = Operator(
        name, parameter, None if length is None else int(length), place + 1, match[0]
    )
    if name not in NAMES:
        raise error_at(text, place, f"{_shorten(match[0])} is no operator of Envoy{_nearest(name)}")
    if name in NEED_PARAMETER and not parameter:
        raise error_at(text, place, f"%{name}% needs a parameter in brackets: %{name}(…)%")
    return operator


def _nearest(name: str) -> str:
    found = difflib.get_close_matches(name.upper(), sorted(NAMES), n=1, cutoff=0.6)
    return f"; did you mean %{found[0]}%?" if found else ""


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def error_at(text: str, place: int, what: str) -> UsageError:
    """One line that says what is wrong with a format, and where.

    Args:
        text: The format.
        place: Where in it, from 0.
        what: What is wrong there and what to do.
    """
    here = " ".join(text[place : place + _SHOWN].split())
    return UsageError(f"access-log format, character {place + 1} ({here}): {what}")
