"""What is wrong with a cluster, in words. Pure."""

from __future__ import annotations

from typing import Final

from collector.words import first_of
from verifier.cluster.board import Seen
from verifier.cluster.desired import Desired
from verifier.policies.node import one_line

_MOST_TOLD: Final = 3


def named(title: str, words: str) -> str:
    """Why an object cannot be read, with its name."""
    return words if title in words else f"{title}: {words}"


def trouble_of(seen: Seen, found: Desired) -> str:
    """What people should know, in one line: what cannot be followed, and what cannot be read."""
    refused = [named(title, words) for title, words in sorted(found.refused.items())]
    told = [*seen.troubles, *refused]
    return one_line(first_of(told, _MOST_TOLD, "; "))
