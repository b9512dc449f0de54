"""Cursors: ours come back, others are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.api.cursors import BadCursor, read_cursor, write_cursor

SECRET = b"a secret of all replicas"


@given(question=st.text(), position=st.lists(st.integers(-(1 << 63), 1 << 63), max_size=3))
def test_a_cursor_names_the_position_it_was_made_of(question: str, position: list[int]) -> None:
    """Whatever was asked and wherever the page ended."""
    cursor = write_cursor(SECRET, question, tuple(position))

    assert read_cursor(SECRET, question, cursor) == tuple(position)


@given(cursor=st.text(max_size=600))
def test_what_nobody_signed_is_refused(cursor: str) -> None:
    """No text is taken for a cursor by chance."""
    with pytest.raises(BadCursor):
        read_cursor(SECRET, "/windows", cursor)


@pytest.mark.parametrize(
    ("secret", "question"), [(SECRET, "/findings"), (b"another secret", "/windows")]
)
def test_a_cursor_fits_its_question_only(secret: bytes, question: str) -> None:
    """Neither another question nor another installation takes it."""
    cursor = write_cursor(SECRET, "/windows", (1, 2))

    with pytest.raises(BadCursor):
        read_cursor(secret, question, cursor)
