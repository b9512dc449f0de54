"""The number by which ordinary keys are counted."""

from __future__ import annotations

import pytest

from verifier.settle.shapes import MOST_MIRRORS
from verifier.settle.simple import Code
from verifier.settle.simple_keys import MARKERS, ODD

_MOST_MARKERS = len(MARKERS) ** MOST_MIRRORS - 1


@pytest.mark.parametrize(
    "code",
    [
        Code(0, 0, 0, 0, 0),
        Code(11, 0o1011, 2, 1, 0),
        Code(100_000, ODD - 1, _MOST_MARKERS, MOST_MIRRORS, MOST_MIRRORS),
    ],
)
def test_a_code_is_one_number_that_tells_all_its_parts(code: Code) -> None:
    """Packed into one number that databases have room for, it comes out the same."""
    packed = code.packed()
    assert packed < 1 << 63
    assert Code.of(packed) == code
