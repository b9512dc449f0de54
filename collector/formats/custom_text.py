"""Compiles a text format of the user into a parser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collector.errors import UsageError
from collector.formats.fields import Fields
from collector.formats.layout import Layout
from collector.formats.operators import TIMES, Operator, writes
from collector.formats.template import Part, error_at, split_format
from collector.formats.time_format import TimeError, time_kind
from collector.records import AccessLog


class TextFormat:
    """A text format, ready to read lines.

    Args:
        text: As in `accessLogFormat`; the newline at its end may be left out.

    Raises:
        UsageError: An operator is unknown, or no line of it could be read for sure.
    """

    is_json: Final = False

    def __init__(self, text: str) -> None:
        self.text: Final = strip_newline(text)
        parts = split_format(self.text)
        operators = [part for part in parts if isinstance(part, Operator)]
        if "\n" in self.text:
            place = self.text.index("\n")
            raise error_at(self.text, place, "a line break; a request must be one line")
        self.fields: Final = Fields(operators)
        self.layout: Final = layout_of(self.text, parts, self.fields.wanted)
        self._match: Final = self.layout.match_strict
        self._record: Final = self.fields.record
        self._begins_with_time: Final = operators[0] is self.fields.chosen["start"]

    def shape(self) -> object:
        """What lines of this format look like: two formats of one shape cannot be told apart."""
        return self.layout.literals, self.fields.chosen["start"].text

    def looks_like(self, line: str) -> bool:
        """Whether a line begins as this format does, so that failing to read it is a defect."""
        time = self.layout.first_value(line)
        try:
            return time is not None and self._begins_with_time and self.fields.read_time(time) > 0
        except (ValueError, OverflowError):
            return False

    def parse(self, line: str) -> AccessLog | None:
        """Reads a line; None when it has not this format."""
        match = self._match(line)
        try:
            if match is not None:  # nearly all lines
                return self._record(match.groups(""))
            found = self.layout.fit(line)
            return found and self._record(found[0], ambiguous=found[1])
        except (ValueError, OverflowError):
            return None


def strip_newline(text: str) -> str:
    r"""A format without the newline at its end, also one written as a backslash and an n."""
    return text.removesuffix("\n").removesuffix("\\n")


def layout_of(text: str, parts: Sequence[Part], wanted: Sequence[int]) -> Layout:
    """The layout of a format's parts.

    Args:
        text: The format.
        parts: Its literals and operators.
        wanted: Which operators' values are needed, by their places among the operators.

    Raises:
        UsageError: Two operators have nothing between them.
    """
    literals, kinds = [""], list[tuple[str, int]]()
    for part in parts:
        if isinstance(part, str):
            literals[-1] += part
            continue
        if kinds and not literals[-1]:
            raise error_at(
                text,
                part.position - 1,
                "nothing stands between it and the operator before, so that nobody can tell "
                "where one value ends; put a separator there",
            )
        kinds.append(kind_of(part))
        literals.append("")
    return Layout(literals, kinds, wanted)


def kind_of(operator: Operator) -> tuple[str, int]:
    """What an operator may write: a class of characters, and how many. Raises UsageError."""
    if operator.name not in TIMES:
        return writes(operator), 0
    try:
        return time_kind(operator.parameter, local=operator.name.endswith("_LOCAL"))
    except TimeError as error:
        raise UsageError(
            f"access-log format, character {operator.position} ({operator.text}): {error}"
        ) from error
