"""From the bytes of a policy file to its documents: YAML or JSON, lists unfolded.

The text comes from outside: size, number of documents, depth and expanded aliases are bounded
before anything is built from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import yaml

from collector.errors import UsageError
from verifier.policies.node import Node, one_line

MAX_BYTES: Final = 1024 * 1024
MAX_DOCUMENTS: Final = 1000
MAX_DEPTH: Final = 64
MAX_VALUES: Final = 500_000
"""Values of a file with every alias written out; 1 MiB of plain YAML has fewer."""
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_YAML_ERRORS: Final = (
    # PyYAML lets the errors of the Python types it builds through: `!!bool x` is a KeyError.
    yaml.YAMLError,
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


def parse_documents(data: bytes, name: str) -> list[Node]:
    """The documents of a file, in order; lists of resources are unfolded, empty ones skipped.

    Args:
        data: The whole file.
        name: How messages call it.

    Raises:
        UsageError: The file is empty, too large, or neither YAML nor JSON.
    """
    name = one_line(name)
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name}: is larger than 1 MiB; policy files are small")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise UsageError(f"{name}: is not UTF-8 text (byte {err.start})") from err
    found: list[Node] = []
    for number, value in enumerate(_load(text, name), start=1):
        if value is not None:
            found += _unfold(Node(value, f"{name} document {number}"), 0)
        if len(found) > MAX_DOCUMENTS:
            raise UsageError(f"{name}: has more than {MAX_DOCUMENTS} documents")
    if not found:
        raise UsageError(f"{name}: is empty")
    return found


def _load(text: str, name: str) -> list[object]:
    """The values of all documents in a file."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return [json.loads(text)]
        except (ValueError, RecursionError):
            pass  # flow-style YAML looks the same
    try:
        _check_size(text, name)
        return list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except _YAML_ERRORS as err:
        mark = getattr(err, "problem_mark", None)
        place = f" at {mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        problem = getattr(err, "problem", None) or str(err) or type(err).__name__
        raise UsageError(f"{name}: is not YAML{place}: {one_line(str(problem))[:200]}") from err


class _Size:
    """Counts the values of a YAML text with its aliases written out, without building them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.documents = 0
        self.total = 0
        self.anchors: dict[str, int] = {}
        self.open: list[tuple[str | None, int]] = []

    def add(self, event: object) -> None:
        """Takes one parser event.

        Raises:
            UsageError: A limit is passed.
        """
        if isinstance(event, yaml.DocumentStartEvent):
            self.anchors.clear()
            self.documents += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            self.open.append((event.anchor, self.total))
            self.total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self.open.pop()
            if anchor is not None:
                self.anchors[anchor] = self.total - before
        elif isinstance(event, yaml.ScalarEvent):
            self.total += 1
            if event.anchor is not None:
                self.anchors[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor))
        self._check()

    def _alias(self, anchor: str) -> None:
        if any(anchor == name for name, _ in self.open):
            raise UsageError(f"{self.name}: alias *{one_line(anchor)[:60]} contains itself")
        self.total += self.anchors.get(anchor, 1)

    def _check(self) -> None:
        if len(self.open) > MAX_DEPTH:
            raise UsageError(f"{self.name}: is nested more than {MAX_DEPTH} levels deep")
        if self.total > MAX_VALUES:
            raise UsageError(f"{self.name}: holds more than {MAX_VALUES} values, aliases included")
        if self.documents > MAX_DOCUMENTS:
            raise UsageError(f"{self.name}: has more than {MAX_DOCUMENTS} documents")


def _check_size(text: str, name: str) -> None:
    """Refuses texts that would be huge or deep once they are built."""
    size = _Size(name)
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        size.add(event)


def _unfold(node: Node, depth: int) -> Iterator[Node]:
    """The resources in a document: those of a `List` one by one, all with their own spec."""
    if isinstance(node.value, list):
        entries = node.items()
    elif isinstance(node.value, dict) and str(node.value.get("kind", "")).endswith("List"):
        entries = node.get("items").items()
    else:
        yield _applied(node)
        return
    if depth >= MAX_DEPTH:
        raise node.error("lists are nested too deep")
    for entry in entries:
        if entry.present:
            yield from _unfold(entry, depth + 1)


def _applied(node: Node) -> Node:
    """The resource itself, or what `kubectl apply` noted of it when it came without a spec."""
    if not isinstance(node.value, dict) or node.value.get("spec") is not None:
        return node
    metadata = node.value.get("metadata")
    notes = metadata.get("annotations") if isinstance(metadata, dict) else None
    applied = notes.get(_LAST_APPLIED) if isinstance(notes, dict) else None
    if applied is None:
        return node
    where = Node(
        applied, node.source, f"{node.path}metadata.annotations.last-applied-configuration"
    )
    try:
        return Node(json.loads(str(applied)), node.source, "")
    except (ValueError, RecursionError) as err:
        raise where.error("is not JSON") from err
