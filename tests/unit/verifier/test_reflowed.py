"""How helps fill the terminal."""

from __future__ import annotations

from verifier.cli.printing import reflowed


def test_paragraphs_are_joined_and_examples_stay() -> None:
    """Whoever wraps them knows the width; what is indented is to be copied."""
    text = "One line\nand more.\n\n[b]Example[/b]\n\n  mirrorproof check \\\n      LOG\n"

    assert (
        reflowed(text)
        == "One line and more.\n\n[b]Example[/b]\n\n  mirrorproof check \\\n      LOG"
    )
    assert reflowed("") == ""
