"""Notes who wrote when, as collectors do, of batches whose lines were written by SQL."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from sqlalchemy import Connection, func, insert, select

from collector.db.presence import SECOND_US, KindInSecond
from collector.db.sign_tables import presence
from collector.db.tables import observation


def note_presence(connection: Connection, first_id: int, committed_us: dict[int, int]) -> None:
    """Notes it of batches from a number on, by what their lines say.

    Args:
        connection: Their transaction.
        first_id: The first of them.
        committed_us: When each was committed.
    """
    c = observation.c
    kind = (c.batch_id, c.start_us // SECOND_US, c.host_id, c.role, c.pod_id, c.destination_id)
    found: defaultdict[int, list[KindInSecond]] = defaultdict(list)
    query = select(*kind, func.count()).where(
        c.batch_id >= first_id, c.ingested_us.between(*_edges(committed_us))
    )
    for number, *rest in connection.execute(query.group_by(*kind)):
        found[number].append(KindInSecond(*rest))
    rows = [
        {"id": number, "committed_us": committed_us[number], "kinds": msgspec.json.encode(kinds)}
        for number, kinds in found.items()
    ]
    if rows:
        connection.execute(insert(presence), rows)


def _edges(committed_us: dict[int, int]) -> tuple[int, int]:
    return min(committed_us.values()), max(committed_us.values())
