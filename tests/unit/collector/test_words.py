"""Lists that are too long are said in part."""

from __future__ import annotations

from collector.words import first_of


def test_the_first_are_said_and_how_many_more_there_are() -> None:
    """None, as many as may be, and more."""
    assert first_of([], 2) == ""
    assert first_of(["a", "b"], 2) == "a, b"
    assert first_of(["a", "b", "c", "d"], 2, "; ") == "a; b and 2 more"
