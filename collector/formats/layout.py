"""Splits a line of text into the fields of a format, and tells when that can be done in two ways.

A line is literal texts with fields between them. The characters that a field may have tell where
it ends: one that cannot hold the first character of the literal behind it ends there for sure, and
likewise backwards. So the *head* of a line is sure from the left and its *tail* from the right.
The fields in the *middle* may hold anything, also what looks like the literals around them. They
are fitted once from the left, each as short as possible, and once from the right: of all ways to
split a line these are the two extremes, so when they agree there is only one.

Most lines never come there: when no field holds the character that quotes or separates all fields
(`"`, `|`, a tab …), then all of them in the line are the format's own, as many as it has, and one
strict expression reads the line. Where the format has quotes, a line with more of them is ambiguous
even if it could be split in one way only.

Nothing here takes more than linear time: fields are matched without giving back (`*+`, `(?>…)`),
each beginning where a literal ends whose last character it cannot hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from collector.formats.operators import BARE, FREE, JSON, METHOD

_FLAGS: Final = re.ASCII | re.DOTALL
_QUOTES: Final = '"|\t'
_ANYTHING: Final = frozenset({FREE, JSON})
_OTHERS: Final = _ANYTHING | {BARE, METHOD}
"""What somebody outside has a hand in: which characters it holds shows nothing of the format."""
Values = tuple[str, ...]
_Spans = list[re.Match[str]]


def _may_hold(kind: str, char: str) -> bool:
    return re.match(kind, char, _FLAGS) is not None


def _without(kind: str, char: str) -> str:
    """The class of characters without one of them; empty: that cannot be written."""
    if not _may_hold(kind, char):
        return kind
    if kind in _ANYTHING:
        return f"[^{re.escape(char)}]"
    if kind == BARE:
        return rf"[^\s{re.escape(char)}]"
    return f"{kind[:-1]}{re.escape(char)}]" if kind.startswith("[^") else ""


def _preference(char: str) -> tuple[bool, bool, str]:
    """Quotes and the like come first, letters and digits last."""
    return char not in _QUOTES, char.isalnum() or char == " ", char


class Layout:
    """The literals and fields of a format, ready to split lines.

    Args:
        literals: One more than fields: before, between and behind them. Only the first and the
            last may be empty. Also an attribute.
        kinds: What each field may hold: a class of characters, see `collector.formats.operators`,
            and how many of them; 0: any number.
        wanted: Which fields to return, as positions in `kinds`, ascending.
    """

    def __init__(
        self, literals: Sequence[str], kinds: Sequence[tuple[str, int]], wanted: Sequence[int]
    ) -> None:
        self.literals: Final = tuple(literals)
        self._kinds: Final = tuple(kind for kind, _ in kinds)
        self._sizes: Final = tuple(size for _, size in kinds)
        self._wanted: Final = tuple(wanted)
        count = len(kinds)
        # Nothing at the end of a line would rather be a line that was cut off there.
        is_open = not literals[-1] and count > 0 and self._kinds[-1] not in _ANYTHING
        self._never_empty: Final = count - 1 if is_open else -1
        self._from_left: Final = [self._ends_surely(n) for n in range(count)]
        self._from_right: Final = [self._begins_surely(n) for n in range(count)]
        first = self._from_left.index(False) if False in self._from_left else count
        unsure = [n for n in range(first, count) if not self._from_right[n]]
        # Fields first … last are the middle; without one, the whole line is its head.
        self._first: Final = first
        self._last: Final = max([first, *unsure])
        self._has_middle: Final = first < count
        strict, char = self._strict() if self._has_middle else (self._plain(), "")
        self.match_strict: Final = re.compile(strict, _FLAGS).fullmatch if strict else _no_match
        """Matches most lines; its groups are the wanted fields, None for a lone hyphen."""
        # A quote where none belongs is somebody's try, or comes close to one: never evidence.
        self._is_quoted: Final = char != "" and char in _QUOTES and JSON not in self._kinds
        first_field = self._field(0, self._kinds[0])
        begin = f"{re.escape(literals[0])}({first_field}+){re.escape(literals[1])}"
        self._match_first: Final = re.compile(begin, _FLAGS).match
        if self._has_middle:
            self._compile_middle()

    def read(self, line: str) -> tuple[Values, bool] | None:
        """The wanted fields of a line, and whether they are only a guess.

        A lone hyphen is what Envoy writes for nothing: such a field comes out empty.

        Returns:
            (fields, ambiguous), or None when the line has not this layout.
        """
        match = self.match_strict(line)
        if match is not None:
            return match.groups(""), False
        return self.fit(line)

    def first_value(self, line: str) -> str | None:
        """What the first field of a line would be, if that is sure; None: it begins otherwise."""
        match = self._match_first(line)
        return None if match is None else match[1]

    def _ends_surely(self, field: int) -> bool:
        """Whether a field's end is sure once its beginning is."""
        behind = self.literals[field + 1]
        return self._sizes[field] > 0 or not behind or not _may_hold(self._kinds[field], behind[0])

    def _begins_surely(self, field: int) -> bool:
        """Whether a field's beginning is sure once its end is."""
        before = self.literals[field]
        return self._sizes[field] > 0 or not before or not _may_hold(self._kinds[field], before[-1])

    def _field(self, field: int, kind: str) -> str:
        """The expression of one field, to which a `+` can be added: it then gives nothing back."""
        if self._sizes[field]:
            return f"{kind}{{{self._sizes[field]}}}"
        return kind + ("+" if field == self._never_empty else "*")

    def _captured(self, field: int, value: str) -> str:
        return f"(?:-|({value}))" if field in self._wanted else value

    def _plain(self) -> str:
        """The expression of a line all of which is sure from the left."""
        expression = re.escape(self.literals[0])
        for field, kind in enumerate(self._kinds):
            expression += self._captured(field, self._field(field, kind) + "+")
            expression += re.escape(self.literals[field + 1])
        return expression

    def _strict(self) -> tuple[str, str]:
        """The expression of lines in which no field holds the separating character, and that."""
        own = set(self._kinds) - _OTHERS
        for char in sorted(set("".join(self.literals)), key=_preference):
            if any(_may_hold(kind, char) for kind in own):
                continue
            found = self._strict_with(char)
            if found:
                return found, char
        return "", ""

    def _strict_with(self, char: str) -> str:
        """The same with this character; empty when some field's place stays unsure.

        Between two literals that hold the character, the end of one field may be found by trying,
        if all behind it are sure from the right; one more would take quadratic time.
        """
        expression = "(?>" + re.escape(self.literals[0])
        tried: list[int] = []
        for field, kind in enumerate(self._kinds):
            rest = _without(kind, char)
            behind = self.literals[field + 1]
            ends = self._from_left[field] or behind.startswith(char)
            if not rest or (tried and not (ends and self._from_right[field])):
                return ""
            if not ends:
                tried.append(field)
            value = self._field(field, rest) + ("+" if ends else "")
            expression += self._captured(field, value) + re.escape(behind)
            if char in behind:
                expression, tried = expression + ")(?>", []
        return expression + ")"

    def _compile_middle(self) -> None:
        """The expressions for lines that are not strict; those that go backwards are mirrored."""
        first, last, count = self._first, self._last, len(self._kinds)
        self._match_head = re.compile(self._forwards(range(first), first), _FLAGS).match
        tail = self._mirrored(range(last + 1, count), last)
        self._match_tail = re.compile(tail, _FLAGS).match
        sure = [a and b for a, b in zip(self._from_left, self._from_right, strict=True)]
        free = [n for n in range(first, last + 1) if not sure[n] or n in (first, last)]
        self._free = free
        gaps = [(range(a + 1, b), a, b) for a, b in pairwise(free)]
        self._find = [
            re.compile(self._forwards(between, b), _FLAGS).search for between, _, b in gaps
        ]
        self._find_mirrored = [
            re.compile(self._mirrored(between, a), _FLAGS).search
            for between, a, _ in reversed(gaps)
        ]

    def _forwards(self, fields: range, before: int) -> str:
        """The expression of fields that are sure and the literals around, up to field `before`."""
        return "".join(
            f"{re.escape(self.literals[n])}({self._field(n, self._kinds[n])}+)" for n in fields
        ) + re.escape(self.literals[before])

    def _mirrored(self, fields: range, behind: int) -> str:
        """The same for a line read from its end, down to field `behind`."""
        return "".join(
            f"{re.escape(self.literals[n + 1][::-1])}({self._field(n, self._kinds[n])}+)"
            for n in reversed(fields)
        ) + re.escape(self.literals[behind + 1][::-1])

    def fit(self, line: str) -> tuple[Values, bool] | None:
        """As `read`, for lines that are not strict."""
        if not self._has_middle:
            return None
        mirrored = line[::-1]
        head, tail = self._match_head(line), self._match_tail(mirrored)
        size = len(line)
        if head is None or tail is None or head.end() + tail.end() > size:
            return None
        left = _search_all(self._find, line, head.end(), size - tail.end())
        if left is None:
            return None
        right = _search_all(self._find_mirrored, mirrored, tail.end(), size - head.end())
        if right is None:
            return None
        spans = [(size - match.end(), size - match.start()) for match in reversed(right)]
        ambiguous = self._is_quoted or spans != [match.span() for match in left]
        texts = self._texts(line, head, tail, right, spans)
        if not ambiguous and not self._are_possible(texts):
            return None
        if self._never_empty >= 0 and not texts[-1]:
            return None
        return tuple("" if texts[n] == "-" else texts[n] for n in self._wanted), ambiguous

    def _texts(
        self,
        line: str,
        head: re.Match[str],
        tail: re.Match[str],
        right: _Spans,
        spans: list[tuple[int, int]],
    ) -> list[str]:
        """All fields of a line, of the ways to split it the one that is nearest to its end."""
        inner = [match.groups() for match in reversed(right)]
        starts = [head.end(), *(end for _, end in spans)]
        ends = [*(start for start, _ in spans), len(line) - tail.end()]
        texts = list(head.groups())
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            texts.append(line[start:end])
            if number < len(inner):
                texts += [text[::-1] for text in reversed(inner[number])]
        return texts + [text[::-1] for text in reversed(tail.groups())]

    def _are_possible(self, texts: list[str]) -> bool:
        """Whether the fields of the middle hold only what they may."""
        return all(
            kind in _ANYTHING or re.fullmatch(f"{kind}*", texts[n], _FLAGS)
            for n in self._free
            for kind in [self._kinds[n]]
        )


def _no_match(_line: str) -> re.Match[str] | None:
    """For a format without a strict expression."""
    return None


def _search_all(
    finders: Sequence[Callable[[str, int, int], re.Match[str] | None]],
    line: str,
    start: int,
    end: int,
) -> _Spans | None:
    """The first place of each separator behind the one before, or None."""
    found = []
    for find in finders:
        match = find(line, start, end)
        if match is None:
            return None
        found.append(match)
        start = match.end()
    return found
