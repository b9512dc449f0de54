"""Matching texts as Istio's proxies do, in bounded time.

Envoy matches with RE2, which is linear; Python's `re` backtracks, and strangers choose the paths
it is asked about. So a pattern whose work cannot be bounded is not evaluated: its condition is
hidden, and a text too long for a pattern's shape is answered with None.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Final

import msgspec

from verifier.policies.model import StringMatch

Matcher = Callable[[str], bool | None]
"""Whether a text matches; None when that cannot be told in bounded time."""

_MAX_PATTERN: Final = 1024
_MAX_CHOICES: Final = 100_000
_MAX_STEPS: Final = 5_000_000
"""Backtracking steps a text may cost: about 50 ms."""
_MAX_REPEATS: Final = 4
_POSIX_CLASSES: Final = {
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:alnum:]": "a-zA-Z0-9",
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:xdigit:]": "0-9a-fA-F",
    "[:word:]": r"\w",
    "[:space:]": r"\s",
}
_TOKEN: Final = re.compile(
    r"(?P<text>\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]"
    r"|\((?:\?(?:P<\w+>|[a-zA-Z-]*[:)]|P?.))?|.)"
    r"(?P<quantifier>(?:\*|\+|\?|\{\d+(?:,\d*)?\})?)(?P<lazy>[?+]?)",
    re.DOTALL,
)
_RE2_GROUP: Final = re.compile(r"\((\?(P<\w+>|[ims]*(-[ims]+)?[:)]))?")


class Shape(msgspec.Struct):
    """What a pattern can cost: `choices` × length ^ `repeats` steps, or no bound at all."""

    choices: int = 1
    repeats: int = 0
    nested: bool = False

    @property
    def bounded(self) -> bool:
        """Whether the pattern may be evaluated on texts that strangers choose."""
        small = self.choices <= _MAX_CHOICES and self.repeats <= _MAX_REPEATS
        return small and not self.nested

    @property
    def longest(self) -> int:
        """The longest text whose evaluation stays within the bound, in characters."""
        if not self.repeats:
            return 1_000_000
        return int((_MAX_STEPS / self.choices) ** (1 / self.repeats))


def compile_regex(pattern: str) -> re.Pattern[str]:
    """An RE2 pattern for Python's `re`.

    Raises:
        ValueError: RE2 or `re` does not know a part of it; says which.
    """
    if len(pattern) > _MAX_PATTERN:
        raise ValueError(f"is longer than {_MAX_PATTERN} characters")
    for token in _TOKEN.finditer(pattern):
        if _foreign(token):
            raise ValueError(f"has {token.group()!r}, which RE2 does not know")
    for name, characters in _POSIX_CLASSES.items():
        pattern = pattern.replace(name, characters)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `[[` means the same to both
            return re.compile(pattern.replace(r"\z", r"\Z"), re.ASCII)
    except (re.error, OverflowError, RecursionError) as err:
        raise ValueError(str(err)) from err


def _foreign(token: re.Match[str]) -> bool:
    """Whether a token of a pattern is known to Python's `re` and not to RE2."""
    text = token["text"]
    if text[0] == "(":
        return not _RE2_GROUP.fullmatch(text)
    possessive = token["quantifier"] and token["lazy"] == "+"
    return bool(possessive) or (text[0] == "\\" and text[1:].isdigit() and text[1:] != "0")


def shape_of(pattern: str) -> Shape:
    """How much a pattern can backtrack, judged from its text."""
    shape = Shape()
    groups = [_Group()]
    for token in _TOKEN.finditer(pattern):
        text = token["text"]
        if text[0] == "(" and not text.endswith(")"):
            groups.append(_Group())
            continue
        if text == "|":
            groups[-1].branches += 1
            continue
        closed = groups.pop() if text == ")" and len(groups) > 1 else _Group()
        shape.choices *= closed.branches
        groups[-1].varies |= closed.varies or closed.branches > 1
        groups[-1].varies |= _repeat(shape, token["quantifier"], closed)
    shape.choices *= groups[0].branches
    return shape


class _Group(msgspec.Struct):
    """An open group of a pattern: its alternatives, and whether a part of it may vary."""

    branches: int = 1
    varies: bool = False


def _repeat(shape: Shape, quantifier: str, group: _Group) -> bool:
    """Adds the quantifier behind a token or group; tells whether it lets the length vary."""
    inner = group.varies or group.branches > 1
    fixed = quantifier[:1] == "{" and "," not in quantifier
    if not quantifier or (fixed and not inner):
        return False
    if quantifier == "?":
        shape.choices *= 2
    else:
        shape.repeats += 1
        shape.nested |= inner
    return True


def matcher(match: StringMatch) -> Matcher:
    """The function that matches texts as `match` says.

    Raises:
        ValueError: Its pattern is wrong; readers have checked that before.
    """
    if match.kind == "regex":
        return _regex_matcher(match.value)
    wanted = match.value.lower() if match.ignore_case else match.value
    prefix = match.kind == "prefix"

    def plain(text: str) -> bool:
        asked = text.lower() if match.ignore_case else text
        return asked.startswith(wanted) if prefix else asked == wanted

    return plain


def _regex_matcher(pattern: str) -> Matcher:
    compiled = compile_regex(pattern)
    shape = shape_of(pattern)
    longest = shape.longest if shape.bounded else 0

    def full(text: str) -> bool | None:
        return compiled.fullmatch(text) is not None if len(text) <= longest else None

    return full
