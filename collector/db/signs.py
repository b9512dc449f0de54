"""What lines show besides themselves: which nodes' logs arrive, and whose clocks are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, func
from sqlalchemy.dialects import postgresql, sqlite

from collector.batch import SIGN_US, Batch
from collector.db.sign_tables import node_sign, wild_clock
from collector.db.tables import node_life

SIGNS: Final = 60
"""Of one row."""
SPAN_US: Final = SIGNS * SIGN_US
HOUR_US: Final = 3_600_000_000
_NODE_STEP_US: Final = 1_000_000
"""A node's life is written again when it is so much later: its row is hot between replicas."""
_MOST_KNOWN: Final = 100_000

Node = tuple[str, str]
"""Cluster and name."""
News = tuple[dict[Node, int], dict[tuple[int, Node], int]]
"""Until when nodes were alive, and the bits of rows; see `node_life` and `node_sign`."""


class Signs:
    """Writes them, as far as they are news. What was rolled back is written again."""

    def __init__(self) -> None:
        self._alive: dict[Node, int] = {}
        self._heard: dict[tuple[int, Node], int] = {}

    def write(self, connection: Connection, batches: Sequence[Batch]) -> News:
        """Writes what is new in the batches' transaction; hand it to `wrote` after the commit."""
        alive, heard = self._new_life(batches), self._new_signs(batches)
        _upsert_life(connection, alive)
        _upsert_signs(connection, heard)
        _upsert_wild(connection, batches)
        return alive, heard

    def wrote(self, news: News) -> None:
        """The transaction is committed."""
        alive, heard = news
        self._alive.update(alive)
        if len(self._heard) > _MOST_KNOWN:
            self._heard.clear()
        for place, bits in heard.items():
            self._heard[place] = self._heard.get(place, 0) | bits

    def _new_life(self, batches: Iterable[Batch]) -> dict[Node, int]:
        """Nodes that were alive notably later than we wrote last."""
        latest: dict[Node, int] = {}
        for one in batches:
            for node, alive_us in one.nodes.items():
                latest[node] = max(alive_us, latest.get(node, 0))
        return {
            node: alive_us
            for node, alive_us in latest.items()
            if alive_us >= self._alive.get(node, -_NODE_STEP_US) + _NODE_STEP_US
        }

    def _new_signs(self, batches: Iterable[Batch]) -> dict[tuple[int, Node], int]:
        """The bits of stretches in which nodes were not heard before."""
        found: dict[tuple[int, Node], int] = {}
        for one in batches:
            for node, numbers in one.signs.items():
                for number in numbers:
                    place = (number // SIGNS * SPAN_US, node)
                    found[place] = found.get(place, 0) | 1 << number % SIGNS
        return {place: bits for place, bits in found.items() if bits & ~self._heard.get(place, 0)}


def heard_in(since_us: int, bits: int) -> list[int]:
    """The numbers of the stretches that a row tells of, in order."""
    first = since_us // SIGN_US
    return [first + place for place in range(SIGNS) if bits >> place & 1]


def forget(connection: Connection, before_us: int, signs_before_us: int) -> None:
    """Forgets nodes and clocks of before a time, and single signs of before another."""
    connection.execute(delete(node_life).where(node_life.c.seen_us < before_us))
    connection.execute(delete(node_sign).where(node_sign.c.span_us < signs_before_us))
    connection.execute(delete(wild_clock).where(wild_clock.c.last_us < before_us))


def _insert(connection: Connection, table: Table) -> Any:
    on_postgresql = connection.dialect.name == "postgresql"
    return (postgresql if on_postgresql else sqlite).insert(table)


def _upsert_life(connection: Connection, nodes: Mapping[Node, int]) -> None:
    if not nodes:
        return
    statement = _insert(connection, node_life)
    later = func.greatest if connection.dialect.name == "postgresql" else func.max
    latest = later(node_life.c.seen_us, statement.excluded.seen_us)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[node_life.c.cluster, node_life.c.node], set_={"seen_us": latest}
        ),
        # Sorted: everybody locks them in this order, too.
        [{"cluster": c, "node": n, "seen_us": us} for (c, n), us in sorted(nodes.items())],
    )


def _upsert_signs(connection: Connection, heard: Mapping[tuple[int, Node], int]) -> None:
    if not heard:
        return
    statement, c = _insert(connection, node_sign), node_sign.c
    both = c.heard.bitwise_or(statement.excluded.heard)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[c.span_us, c.cluster, c.node], set_={"heard": both}
        ),
        [
            {"span_us": span_us, "cluster": cluster, "node": node, "heard": bits}
            for (span_us, (cluster, node)), bits in sorted(heard.items())
        ],
    )


def _upsert_wild(connection: Connection, batches: Sequence[Batch]) -> None:
    rows: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    for one in batches:
        for (cluster, namespace, pod), wild in one.wild.items():
            hour_us = wild.first_us // HOUR_US * HOUR_US
            row = rows.setdefault(
                (cluster, namespace, pod, hour_us),
                {"first_us": wild.first_us, "last_us": wild.last_us, "lines": 0},
            )
            row["first_us"] = min(row["first_us"], wild.first_us)
            row["last_us"] = max(row["last_us"], wild.last_us)
            row["lines"] += wild.lines
            row["off_us"] = wild.off_us
    if not rows:
        return
    statement, c = _insert(connection, wild_clock), wild_clock.c
    new, on_postgresql = statement.excluded, connection.dialect.name == "postgresql"
    least, most = (func.least, func.greatest) if on_postgresql else (func.min, func.max)
    names = ("cluster", "namespace", "pod", "hour_us")
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(names),
            set_={
                "first_us": least(c.first_us, new.first_us),
                "last_us": most(c.last_us, new.last_us),
                "lines": c.lines + new.lines,
                "off_us": new.off_us,
            },
        ),
        [dict(zip(names, place, strict=True)) | row for place, row in sorted(rows.items())],
    )
