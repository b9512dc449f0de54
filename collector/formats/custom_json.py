"""Compiles a JSON format of the user into a parser.

Source: Envoy `SubstitutionFormatString.json_format`: a value that is one operator keeps its type,
one with text around or several operators becomes a string; what is missing is null, `-`, or left
out (`omit_empty_values`). Keys may be nested.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from collector.errors import UsageError
from collector.formats.custom_text import layout_of
from collector.formats.fields import Fields
from collector.formats.layout import Layout
from collector.formats.operators import NUMBER, Operator, writes
from collector.formats.template import Part, split_format
from collector.records import AccessLog

_MAX_DEPTH: Final = 8
_MAX_KEYS: Final = 200
_LARGEST: Final = 2**62
_DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_Path = tuple[str, ...]


class _Leaf(NamedTuple):
    """A key whose value is a text of the format."""

    path: _Path
    parts: list[Part]

    def operators(self) -> list[Operator]:
        return [part for part in self.parts if isinstance(part, Operator)]


class _Reader(NamedTuple):
    """How the value of one key is read.

    Attributes:
        get: Takes it from the decoded line.
        is_number: It is one operator, whose value is a number.
        layout: It is a text with several operators, or with words around them.
    """

    get: Callable[[Any], Any]
    is_number: bool
    layout: Layout | None


class JsonFormat:
    """A JSON format, ready to read lines.

    Args:
        document: As in `accessLogFormat` with `accessLogEncoding: JSON`.

    Attributes:
        takes_defaults: Its lines look like those of Istio's default JSON format, too.

    Raises:
        UsageError: An operator is unknown, or no line of it could be read for sure.
    """

    is_json: Final = True

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.text: Final = json.dumps(document, ensure_ascii=False)
        leaves = list(_leaves(document, ()))
        self.fields: Final = Fields([one for leaf in leaves for one in leaf.operators()])
        used = list(_used(leaves, self.fields.wanted))
        keys = list(dict.fromkeys(leaf.path[0] for leaf, _ in used))
        self._decode: Final = msgspec.json.Decoder(_struct(keys)).decode
        self._readers: Final = [_reader(leaf, wanted, keys) for leaf, wanted in used]
        start = self.fields.chosen["start"]
        self._has_start: Final = next(
            reader.get
            for reader, (leaf, _) in zip(self._readers, used, strict=True)
            if start in leaf.operators()
        )
        self._key_count: Final = sum(1 for _ in _keys(document))
        self._shape: Final = frozenset(leaf.path for leaf in leaves)
        self.takes_defaults: Final = {("start_time",), ("response_code",)} <= self._shape
        names = {json.dumps(leaf.path[-1], ensure_ascii=False) for leaf, _ in used}
        self._own_keys: Final = len(names)
        self._find_keys: Final = re.compile("|".join(f"{re.escape(n)}:" for n in names)).findall

    def shape(self) -> object:
        """What lines of this format look like: two formats of one shape cannot be told apart."""
        return self._shape

    def likeness(self, line: str) -> tuple[int, int]:
        """How many keys of the format a line has; then, the fewer others, the better."""
        return len(set(self._find_keys(line))), -self._own_keys

    def parse(self, line: str) -> AccessLog | None:
        """Reads a line; None when it has not this format.

        Raises:
            ValueError: It has, and a value is impossible or cut off.
            OverflowError: A number is infinite.
        """
        try:
            found = self._decode(line)
        except _DECODE_ERRORS as error:
            if len(set(self._find_keys(line))) > 1:
                raise ValueError("an access log that cannot be read") from error
            return None
        if self._has_start(found) is None:
            return None
        values: list[Any] = []
        ambiguous = self._has_twins(line)
        for get, is_number, layout in self._readers:
            value = get(found)
            if value is None and layout is None:
                values.append("")
            elif type(value) is str and not is_number and layout is None:
                values.append("" if value == "-" else value)
            elif layout is not None:
                split = layout.read(_text(value))
                if split is None:
                    raise ValueError("a value of another format")
                values += split[0]
                ambiguous |= split[1]
            else:
                values.append(_number(value) if is_number else _text(value))
        return self.fields.record(tuple(values), ambiguous=ambiguous)

    def _has_twins(self, line: str) -> bool:
        """Whether a key is there twice: the line is text without escapes, and a client wrote it."""
        if line.count('":') == self._key_count:
            return False  # all that the format has, and no other
        keys = self._find_keys(line)
        if len(keys) == len(set(keys)):
            return False
        try:
            json.loads(line, object_pairs_hook=_refuse_twins)
        except (ValueError, RecursionError):
            return True
        return False


def _leaves(document: Mapping[str, Any], path: _Path) -> Iterator[_Leaf]:
    """All texts of a format. Raises UsageError."""
    if len(path) > _MAX_DEPTH or len(document) > _MAX_KEYS:
        raise UsageError(
            f"access-log format: more than {_MAX_KEYS} keys, or nested over {_MAX_DEPTH} deep"
        )
    for key, value in document.items():
        if isinstance(value, str):
            try:
                yield _Leaf((*path, key), split_format(value))
            except UsageError as error:
                raise UsageError(f"{error} [key {'.'.join((*path, key))}]") from error
        elif isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))


def _keys(document: Mapping[str, Any]) -> Iterator[str]:
    """All keys of a format, at every depth."""
    for key, value in document.items():
        yield key
        if isinstance(value, Mapping):
            yield from _keys(value)


def _used(leaves: list[_Leaf], wanted: list[int]) -> Iterator[tuple[_Leaf, list[int]]]:
    """The texts with wanted operators, and which of theirs these are."""
    first = 0
    for leaf in leaves:
        count = len(leaf.operators())
        own = [place - first for place in wanted if first <= place < first + count]
        first += count
        if own:
            yield leaf, own


def _struct(keys: list[str]) -> type[msgspec.Struct]:
    """A type that decodes just these keys, and skips all others."""
    fields: list[tuple[str, Any, Any]] = [
        (f"key_{number}", Any, msgspec.field(name=key, default=None))
        for number, key in enumerate(keys)
    ]
    return msgspec.defstruct("Line", fields, gc=False)


def _getter(path: _Path, keys: list[str]) -> Callable[[Any], Any]:
    """Takes the value at a path from a decoded line; None: it is not there."""
    take: Callable[[Any], Any] = attrgetter(f"key_{keys.index(path[0])}")
    if len(path) == 1:
        return take

    def walk(line: Any) -> Any:
        value = take(line)
        for key in path[1:]:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    return walk


def _reader(leaf: _Leaf, wanted: list[int], keys: list[str]) -> _Reader:
    """How the value of a key is read. Raises UsageError."""
    get = _getter(leaf.path, keys)
    if len(leaf.parts) == 1:
        return _Reader(get, writes(leaf.operators()[0]) == NUMBER, None)
    text = "".join(part if isinstance(part, str) else part.text for part in leaf.parts)
    return _Reader(get, False, layout_of(text, leaf.parts, wanted))


def _text(value: Any) -> str:
    """A text, empty when it is missing in any way. Raises ValueError."""
    if value is None or value == "-":
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list | bool):
        raise ValueError("no text")
    return str(value)


def _number(value: Any) -> str:
    """A whole number as text, from any notation; empty when missing. Raises ValueError."""
    if value is None or value in ("-", ""):
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("no number")
    number = value if isinstance(value, int) else int(float(value))
    if not 0 <= number < _LARGEST:
        raise ValueError("number out of range")
    return str(number)


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError: a key is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found
