"""A place in a policy document: typed access to it, and errors that name it.

Every reader of this package walks documents through `Node`, so that each complaint says file,
document and field in one line, and no document can raise anything but `UsageError`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

from collector.errors import UsageError
from verifier.policies.model import Lint

_SHOWN_CHARACTERS: Final = 60


def one_line(text: str) -> str:
    """Text from outside as it may stand in a message: one line, printable, valid UTF-8."""
    flat = " ".join(text.split())
    safe = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in flat)
    return safe.encode("utf-8", "replace").decode()


def shown(value: object) -> str:
    """A value as messages show it: its beginning."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = one_line(str(value)[: 4 * _SHOWN_CHARACTERS])
    return repr(text[:_SHOWN_CHARACTERS])


class Node:
    """One value of a document, and where it stands.

    Args:
        value: What the YAML or JSON parser made; None is an absent field.
        source: `FILE document N`.
        path: Field path inside the document, `spec.http[0].mirror`.
    """

    __slots__ = ("path", "source", "value")

    def __init__(self, value: object, source: str, path: str = "") -> None:
        self.value = value
        self.source = source
        self.path = path

    @property
    def present(self) -> bool:
        """Whether the field is there and not null."""
        return self.value is not None

    @property
    def where(self) -> str:
        """`FILE document N FIELD`."""
        return one_line(f"{self.source} {self.path}")

    def error(self, message: str) -> UsageError:
        """The exception to raise about this place."""
        return UsageError(f"{self.where}: {one_line(message)}")

    def lint(self, severity: str, code: str, message: str) -> Lint:
        """A remark about this place."""
        return Lint(severity, self.where, code, one_line(message))

    def get(self, *keys: str) -> Node:
        """The first of these fields that is present, else an absent node under the first name."""
        fields = self.fields()
        for key in keys:
            found = fields.get(key)
            if found is not None and found.present:
                return found
        return Node(None, self.source, self._join(keys[0]))

    def fields(self) -> dict[str, Node]:
        """The fields of a mapping, by name; an absent node has none.

        Raises:
            UsageError: It is no mapping, or a field name is no text.
        """
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.error(f"must be a mapping, is {shown(self.value)}")
        found = {}
        for key, value in self.value.items():
            if not isinstance(key, str):
                raise self.error(f"field name {shown(key)} must be text; quote it")
            found[key] = Node(value, self.source, self._join(key))
        return found

    def items(self) -> list[Node]:
        """The items of a list; an absent node has none.

        Raises:
            UsageError: It is no list.
        """
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.error(f"must be a list, is {shown(self.value)}")
        return [
            Node(value, self.source, f"{self.path}[{index}]")
            for index, value in enumerate(self.value)
        ]

    def text(self, default: str | None = None) -> str:
        """A text of printable characters, at most 1024.

        Args:
            default: For an absent field; None makes the field required.

        Raises:
            UsageError: It is missing, another type, or not printable.
        """
        if self.value is None and default is not None:
            return default
        if self.value is None:
            raise self.error("is missing")
        if not isinstance(self.value, str):
            raise self.error(f"must be text, is {shown(self.value)}; quote it")
        if not self.value.isprintable() or len(self.value) > 1024:
            raise self.error("must be at most 1024 printable characters")
        return self.value

    def number(self, low: float, high: float) -> float:
        """A finite number in a range.

        Raises:
            UsageError: It is missing, no number or outside the range.
        """
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"must be a number, is {shown(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(f"must be a number, is {shown(value)}")
        if not low <= value <= high:
            raise self.error(f"must be between {low:g} and {high:g}, is {shown(value)}")
        return float(value)

    def integer(self, low: int, high: int) -> int:
        """A whole number in a range.

        Raises:
            UsageError: It is missing, not whole or outside the range.
        """
        value = self.number(low, high)
        if value != int(value):
            raise self.error(f"must be a whole number, is {shown(self.value)}")
        return int(value)

    def flag(self) -> bool:
        """True or false; an absent field is false.

        Raises:
            UsageError: It is another type.
        """
        if self.value is None:
            return False
        if not isinstance(self.value, bool):
            raise self.error(f"must be true or false, is {shown(self.value)}")
        return self.value

    def only(self, known: Collection[str]) -> dict[str, Node]:
        """The fields of a mapping, of which none may be unknown.

        Raises:
            UsageError: A field is not one of `known`; the message names the nearest that is.
        """
        fields = self.fields()
        for name, field in fields.items():
            if name not in known:
                near = get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise field.error(f"unknown field; {hint}")
        return fields

    def _join(self, key: str) -> str:
        plain = key.replace("-", "").replace("_", "").isalnum()
        name = key if plain else f"[{shown(key)}]"
        return f"{self.path}.{name}" if self.path and plain else f"{self.path}{name}"
