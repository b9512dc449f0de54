"""Sessions: ours come back until they are over, others are nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.page.session import LIFE_US, read_session, write_session

SECRET = b"a secret of all replicas"
NOW = 1_760_000_000_000_000


def test_a_session_names_its_key_for_a_day_at_work() -> None:
    """And then no longer."""
    cookie = write_session(SECRET, "mp_0123", NOW)

    assert read_session(SECRET, cookie, NOW + LIFE_US - 1) == "mp_0123"
    assert read_session(SECRET, cookie, NOW + LIFE_US) is None


@given(cookie=st.text(max_size=400))
def test_what_nobody_signed_is_nobody(cookie: str) -> None:
    """No text is taken for a session by chance."""
    assert read_session(SECRET, cookie, NOW) is None


@pytest.mark.parametrize("position", [0, 5, 20, -1])
def test_a_changed_session_is_nobody(position: int) -> None:
    """Neither the key nor the end can be edited; another installation's counts for nothing."""
    cookie = write_session(SECRET, "mp_0123", NOW)
    other = "A" if cookie[position] != "A" else "B"
    changed = [*cookie]
    changed[position] = other

    assert read_session(SECRET, "".join(changed), NOW) is None
    assert read_session(b"another", cookie, NOW) is None
