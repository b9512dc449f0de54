"""What strangers wrote, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text without anything that drives a terminal."""
    return "".join(c if c.isprintable() else escaped(c.encode("utf-8", "replace")) for c in text)


def escaped(value: bytes) -> str:
    """Bytes as text; what is no printable character becomes an escape, as in Python."""
    text = value.decode("utf-8", "backslashreplace")
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def reflowed(text: str) -> str:
    """A text with each paragraph on one line, but for what is indented, as examples are."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(one if one.startswith(" ") else " ".join(one.split()) for one in paragraphs)
