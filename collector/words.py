"""How things are said, alike everywhere."""

from __future__ import annotations

from collections.abc import Sequence


def first_of(found: Sequence[str], most: int, between: str = ", ") -> str:
    """The first of some texts, and how many more there are.

    Args:
        found: All of them.
        most: So many are said.
        between: What stands between two of them.
    """
    rest = len(found) - most
    return between.join(found[:most]) + (f" and {rest:,} more" if rest > 0 else "")
