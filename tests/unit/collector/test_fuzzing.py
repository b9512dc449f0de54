"""Every byte string ends as an observation, ignored or quarantined, and takes linear time."""

from __future__ import annotations

import re
from re import _parser as parser  # its trees are the only way to see what an expression may do
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.envelopes.found import MAX_VALUE_BYTES
from collector.formats import known
from collector.formats.custom_text import TextFormat
from tests import fuzzing
from tests.examples import MANY
from tests.unit.collector.test_custom_text import formats

EXAMPLES = settings(max_examples=120 * MANY)
SEEDS = [seed for seed in dict.fromkeys(fuzzing.seeds()) if len(seed) < 20_000]
NOISE = st.sampled_from(fuzzing.WORDS)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A real value with parts cut out, doubled, put elsewhere, of another value, or noise."""
    value = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(value)))
        end = draw(st.integers(start, min(len(value), start + 60)))
        other = draw(st.sampled_from(SEEDS))
        at = draw(st.integers(0, len(other)))
        piece = draw(
            st.one_of(
                NOISE,
                st.just(b""),
                st.just(value[start:end] * 2),
                st.just(other[at : at + 80]),
                st.binary(max_size=8),
                NOISE.map(lambda noise: noise * 50),
            )
        )
        value = value[:start] + piece + value[end:]
    return value


@pytest.mark.parametrize("seed", SEEDS)
def test_real_values_end_in_one_of_three_ways(seed: bytes) -> None:
    """What mutations begin with."""
    fuzzing.check(seed)


@EXAMPLES
@given(mutations())
def test_changed_values_end_in_one_of_three_ways(value: bytes) -> None:
    """Whatever is wrong in them."""
    fuzzing.check(value)


@EXAMPLES
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode())))
def test_any_bytes_end_in_one_of_three_ways(value: bytes) -> None:
    """Most are lines that are no access log."""
    fuzzing.check(value)


@pytest.mark.parametrize(
    "value",
    [b"", b"\n", b"\x00", b"[" * 100_000, b'{"log":' * 50_000, b'"' * 100_000,
     b'{"log":"' + b"\\" * 100_001, b"[{}" + b",{}" * 50_000 + b"]", b"x" * (MAX_VALUE_BYTES + 1),
     b"{" + b'"a":1,' * 50_000 + b'"log":"x"}', b"\n" * 100_000, b" " * 100_000],
    ids=range(12),
)  # fmt: skip
def test_bombs_end_in_one_of_three_ways(value: bytes) -> None:
    """Long, deep and wide ones."""
    fuzzing.check(value)


def expressions(text: str) -> list[str]:
    """All regular expressions that a format's lines are matched with."""
    layout = TextFormat(text).layout
    found = vars(layout)
    functions = [found.get(name) for name in ("match_strict", "_match_head", "_match_tail")]
    functions += [*found.get("_find", ()), *found.get("_find_mirrored", ()), layout._match_first]
    return [one.__self__.pattern for one in functions if hasattr(one, "__self__")]


def retried(tree: Any) -> list[int]:
    """How many repeats of each atomic group can give back what they took; the first: outside."""
    counts = [0]
    for name, argument in tree:
        if name is parser.ATOMIC_GROUP:
            counts.append(sum(retried(argument)))
        elif name is parser.MAX_REPEAT:
            low, high, inner = argument
            counts[0] += high != low
            assert sum(retried(inner)) == 0, "a repeat in a repeat"
        elif name is parser.SUBPATTERN:
            inner = retried(argument[-1])
            counts = [counts[0] + inner[0], *counts[1:], *inner[1:]]
        elif name is parser.BRANCH:
            for branch in argument[1]:
                inner = retried(branch)
                counts = [counts[0] + inner[0], *counts[1:], *inner[1:]]
    return counts


@pytest.mark.parametrize(
    "text", [*known.ISTIO_TEXT.values(), known.ENVOY_TEXT, *fuzzing.TEXTS], ids=range(11)
)
def test_formats_in_use_cannot_take_quadratic_time(text: str) -> None:
    """At most one repeat between two sure places gives back, and then nothing before it does."""
    for expression in expressions(text):
        assert max(retried(parser.parse(expression, re.DOTALL))) <= 1


@EXAMPLES
@given(formats())
def test_no_format_can_take_quadratic_time(text: str) -> None:
    """The same of any format that is compiled."""
    for expression in expressions(text):
        assert max(retried(parser.parse(expression, re.DOTALL))) <= 1


def test_a_repeat_that_gives_back_twice_would_be_found() -> None:
    """The test above can fail."""
    assert max(retried(parser.parse(r'"(.*)" "(.*)"', re.DOTALL))) == 2
