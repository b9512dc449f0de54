"""What is counted of the line of each side of an ordinary key: code, marks, forwarded addresses.

In SQL each line's fact is one small number, and those of a key are packed into few numbers, by
which keys are counted. Here they are read again, and told what `verifier.pairing` tells of lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, case, func, literal

from collector.traits import HOP_LIMIT, HOP_SHIFT, Trait
from verifier.pairing.lines import Marker

MOST_CODE: Final = 999
"""Status codes have three digits (RFC 9110, 15); a line with another one is not ordinary."""
_CODE_BITS: Final = 10
_MARK_BITS: Final = 2
_HOP_BITS: Final = 5
_HOPS_AT: Final = _CODE_BITS + _MARK_BITS
_BITS: Final = _HOPS_AT + _HOP_BITS
_IN_ONE: Final = 3
"""Facts that are packed into one number, of less than 63 bits."""
_SHADOW_HOST, _MARKED = 1, 2
_MARKS: Final = Trait.SHADOW_HOST | Trait.MARKED


class Fact(NamedTuple):
    """What is counted of one line; all zero where there is none.

    Attributes:
        code: Its status.
        marks: Whether it bears Envoy's mark of a copy, and the operator's, as bits.
        hops: The packed number of forwarded addresses, see `forwarded_hops`; 0: not known.
    """

    code: int
    marks: int
    hops: int

    def marker(self, reference: int) -> Marker:
        """By what an arrival at a mirror is told to be a copy; `reference` as of `reference_of`."""
        if self.marks & _MARKED:
            return Marker.FIELD
        if self.marks & _SHADOW_HOST:
            return Marker.SHADOW_HOST
        return Marker.FORWARDED if 0 < reference < self.hops else Marker.POLICY


def reference_of(facts: Iterable[Fact]) -> int:
    """How many addresses a request carries, packed: the fewest of those that are logged."""
    return min((fact.hops for fact in facts if fact.hops), default=0)


def unpack(packed: Sequence[int], sides: int) -> list[Fact]:
    """The facts of a key's sides, in order, from the numbers of `pack`."""
    numbers = (packed[n // _IN_ONE] >> n % _IN_ONE * _BITS & (1 << _BITS) - 1 for n in range(sides))
    return [_fact_of(number) for number in numbers]


def _fact_of(number: int) -> Fact:
    hops = number >> _HOPS_AT
    marks = number >> _CODE_BITS & (1 << _MARK_BITS) - 1
    return Fact(number & (1 << _CODE_BITS) - 1, marks, hops if hops <= HOP_LIMIT else 0)


# --- the same in SQL


def number_of(code: Any, traits: Any) -> ColumnElement[int]:
    """The fact of a line, whose code has three digits, as a number."""
    marks = traits.bitwise_and(_MARKS) * ((1 << _CODE_BITS) // Trait.SHADOW_HOST)
    found: ColumnElement[int] = code + marks + traits.bitwise_rshift(HOP_SHIFT) * (1 << _HOPS_AT)
    return found


def pack(numbers: Sequence[ColumnElement[int]]) -> list[ColumnElement[int]]:
    """The numbers of a key's sides as few numbers; a side without a line is null."""
    shifted = [
        func.coalesce(number, 0) * literal(1 << n % _IN_ONE * _BITS, BigInteger)
        for n, number in enumerate(numbers)
    ]
    return [reduce(add, shifted[n : n + _IN_ONE]) for n in range(0, len(shifted), _IN_ONE)]


def is_unmarked(number: Any) -> ColumnElement[bool]:
    """Whether a line bears no mark of a copy."""
    found: ColumnElement[bool] = number.bitwise_and((1 << _HOPS_AT) - (1 << _CODE_BITS)) == 0
    return found


def hops_of(number: Any) -> ColumnElement[int]:
    """As `Fact.hops`; never null."""
    hops = func.coalesce(number, 0).bitwise_rshift(_HOPS_AT)
    return case((hops <= HOP_LIMIT, hops), else_=0)
