"""A node's log folders as the kubelet has them, with lines of real proxies in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import recordings

NAMESPACE: Final = "weather"
CONTAINER: Final = "istio-proxy"
_UID: Final = "0f1c2d3e-4b5a-4697-8879-90a1b2c3d4e5"
_CONTAINER_ID: Final = "3f" * 32
_PIECE: Final = 16 * 1024
"""Where containerd cuts lines."""


@dataclass(frozen=True)
class Node:
    """The folders.

    Attributes:
        root: Stands for `/var/log`.
        lines: What each pod's proxy wrote.
    """

    root: Path
    lines: dict[str, list[str]]

    @property
    def pods(self) -> str:
        """The pattern of all files below `pods`."""
        return f"{self.root}/pods/*/*/*.log"

    @property
    def containers(self) -> str:
        """The pattern of the links below `containers`."""
        return f"{self.root}/containers/*.log"


def write_node(root: Path) -> Node:
    """Writes the logs of a recording in the runtime's form, long lines in pieces among them."""
    logs = {
        pod: [line.decode("utf-8", "replace").rstrip("\n") for line in lines]
        for pod, lines in recordings.read("clean").items()
    }
    for lines in logs.values():
        lines += [_long(line) for line in lines[:3]]
    (root / "containers").mkdir(parents=True)
    for pod, lines in logs.items():
        file = root / "pods" / f"{NAMESPACE}_{pod}_{_UID}" / CONTAINER / "0.log"
        file.parent.mkdir(parents=True)
        file.write_text("".join(_written(lines)))
        link = root / "containers" / f"{pod}_{NAMESPACE}_{CONTAINER}-{_CONTAINER_ID}.log"
        link.symlink_to(file)
    return Node(root, logs)


def _long(line: str) -> str:
    """A line of another request, with a path of 40 KB."""
    method, space, path = line.partition(" /")
    return f"{method}{space}{'x' * 40_000}/{path}"


def _written(lines: list[str]) -> Iterator[str]:
    number = 0
    for line in lines:
        pieces = [line[at : at + _PIECE] for at in range(0, len(line), _PIECE)]
        for piece in pieces:
            number += 1
            tag = "F" if piece is pieces[-1] else "P"
            yield f"2026-11-22T15:{number // 60_000 % 60:02}:42.{number:09}Z stdout {tag} {piece}\n"
