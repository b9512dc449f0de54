"""When a node that is not heard has lost something, and when it only had nothing to say."""

from __future__ import annotations

import random

import pytest

from collector.batch import SIGN_US
from verifier.settle.life import ERROR, holes


def test_a_node_heard_all_the_time_has_no_hole() -> None:
    """Signs in every stretch."""
    assert holes(range(1000, 1100)) == []


def test_silence_of_a_regular_node_is_a_hole_from_sign_to_sign() -> None:
    """Three stretches without a sign, between a hundred with one."""
    heard = [*range(1000, 1050), *range(1053, 1100)]

    assert holes(heard) == [(1049 * SIGN_US, 1054 * SIGN_US)]


def test_a_single_stretch_without_a_sign_is_chance() -> None:
    """A heartbeat may come a little late."""
    assert holes([*range(1000, 1050), *range(1051, 1100)]) == []


def test_silence_of_a_node_that_is_heard_now_and_then_says_nothing() -> None:
    """One sign in four stretches: ten without are to be expected."""
    assert holes([*range(1000, 1100, 4), *range(1110, 1200, 4)]) == []


def test_a_long_silence_of_a_node_that_is_often_heard_is_a_hole() -> None:
    """One sign in two stretches, then none in forty."""
    assert holes([*range(1000, 1100, 2), *range(1140, 1200, 2)]) == [
        (1098 * SIGN_US, 1141 * SIGN_US)
    ]


def test_before_the_first_and_after_the_last_sign_there_is_no_hole() -> None:
    """A node begins, and dies; that is told by its life."""
    assert holes([7]) == [] == holes([])


def test_few_signs_tell_no_regularity() -> None:
    """Five before and five after are too few."""
    assert holes([*range(5), *range(9, 14)]) == []


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_chance_makes_a_hole_as_seldom_as_stated(share: float) -> None:
    """Of a node heard by chance, silences are taken for holes at most as often as the error says.

    How regular it is must be estimated, which costs a little.
    """
    chance = random.Random(11)
    stretches = 60_000
    heard = [number for number in range(stretches) if chance.random() < share]

    assert len(holes(heard)) <= 10 * ERROR * stretches
