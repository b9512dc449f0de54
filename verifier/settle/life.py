"""In which stretches of time a node's log path lost what it should have sent.

A node that is heard all the time (heartbeats, busy pods) and then is not for a while has lost
what was written meanwhile, unless it comes late. Of one that is heard now and then, silence says
nothing. Finding the holes is pure; `Life` reads the signs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from sqlalchemy import Connection, select

from collector.batch import SIGN_US
from collector.db.sign_tables import node_sign
from collector.db.signs import SIGNS, SPAN_US, Node, heard_in

Hole = tuple[int, int]
"""From the last sign before to the first after, µs."""

ERROR: Final = 1e-4
"""How often a stretch of chance silence may be taken for a hole, at most."""
_AROUND: Final = 24
"""So many stretches before, and after, tell how regularly a node is heard."""
_FEWEST: Final = 12


def holes(heard: Iterable[int]) -> list[Hole]:
    """The stretches in which a node should have been heard, and was not.

    Were it heard by chance, as often as around the silence, the silence would be too long.

    Args:
        heard: Numbers of the stretches of `SIGN_US` in which it was, in any order.
    """
    ordered = sorted(set(heard))
    found = []
    for before, after in pairwise(ordered):
        silent = after - before - 1
        if silent and _is_regular(ordered, before, after, silent):
            found.append((before * SIGN_US, (after + 1) * SIGN_US))
    return found


def _is_regular(ordered: Sequence[int], before: int, after: int, silent: int) -> bool:
    first, last = max(ordered[0], before - _AROUND + 1), min(ordered[-1], after + _AROUND - 1)
    looked = (before - first + 1) + (last - after + 1)
    near = bisect_right(ordered, last) - bisect_left(ordered, first)
    # The rule of succession: of a node heard each time, one time in so many may be silent.
    quiet = (looked - near + 1) / (looked + 2)
    return looked >= _FEWEST and quiet**silent <= ERROR


class Life:
    """The holes of all nodes, read as they are asked for.

    Args:
        connection: In the settling transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection
        self._near: Final[dict[int, dict[Node, list[int]]]] = {}
        self._holes: Final[dict[tuple[Node, int], list[Hole]]] = {}

    def has_hole(self, node: Node, since_us: int, until_us: int) -> bool:
        """Whether what a node wrote between two times may be lost.

        That a node was never heard before, or never again, is no hole: it began, or is dead.
        """
        numbers = range(since_us // SPAN_US, until_us // SPAN_US + 1)
        return any(
            begin <= until_us and since_us <= end
            for number in numbers
            for begin, end in self._holes_near(node, number)
        )

    def _holes_near(self, node: Node, number: int) -> list[Hole]:
        """The holes that meet a span."""
        place = node, number
        if place not in self._holes:
            self._holes[place] = holes(self._heard(node, number))
        return self._holes[place]

    def _heard(self, node: Node, number: int) -> list[int]:
        """When a node was heard in a span and those beside it, or in the nearest beyond."""
        if number not in self._near:
            c, near = node_sign.c, self._near.setdefault(number, {})
            query = select(node_sign).where(
                c.span_us >= (number - 1) * SPAN_US, c.span_us <= (number + 1) * SPAN_US
            )
            for row in self._connection.execute(query):
                numbers = near.setdefault((row.cluster, row.node), [])
                numbers += heard_in(row.span_us, row.heard)
        heard = self._near[number].get(node, [])
        begin, end = number * SIGNS, (number + 1) * SIGNS
        if heard and min(heard) <= begin and end <= max(heard):
            return heard
        return [*heard, *self._beyond(node, number)]

    def _beyond(self, node: Node, number: int) -> list[int]:
        """When it was heard in the nearest span with a sign before those nearby, and after."""
        c, found = node_sign.c, []
        of_node = select(node_sign).where(c.cluster == node[0], c.node == node[1])
        for beyond, order in (
            (c.span_us < (number - 1) * SPAN_US, c.span_us.desc()),
            (c.span_us > (number + 1) * SPAN_US, c.span_us.asc()),
        ):
            row = self._connection.execute(
                of_node.where(beyond).order_by(order).limit(1)
            ).one_or_none()
            if row is not None:
                found += heard_in(row.span_us, row.heard)
        return found
