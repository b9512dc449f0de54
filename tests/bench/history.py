"""Long histories of stored lines, made inside the database: millions of rows in seconds.

Each request has three lines, of sender, primary and mirror, as wide as those of a real mesh; one
request in `_LOST` lacks its copy. The old part lies in full partitions with their indexes, as
maintenance leaves them, the new part in the one that collectors fill.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, insert, select, text

from collector.db.engine import writing
from collector.db.partitions import HOUR_US, Partitions, list_parts, partition_name
from collector.db.tables import batch, destination, host, observation, pod, position
from collector.db.upkeep import keeping
from collector.records import Role
from collector.traits import HOP_SHIFT
from tests.bench.kept import tell
from tests.presence import note_presence

HOST: Final = "forecast.weather.svc.cluster.local"
TOPIC: Final = "istio-access-logs"
SECOND_US: Final = 1_000_000
LINES: Final = 3
"""Of one request."""
_LOST: Final = 10_000
_PER_BATCH: Final = 2_000
"""Requests in one batch."""
_SENDERS, _PRIMARIES, _MIRRORS = 5, 10, 10
_PORTION: Final = 400_000
"""Requests in one transaction."""


class Traffic(msgspec.Struct, frozen=True):
    """A stretch of steady traffic; its first request is number `number`, at `begin_us`."""

    number: int
    requests: int
    begin_us: int
    per_s: int

    @property
    def step_us(self) -> int:
        """From one request to the next."""
        return SECOND_US // self.per_s

    @property
    def end_us(self) -> int:
        """When the one after the last would start."""
        return self.begin_us + self.requests * self.step_us

    def portions(self, most: int = _PORTION) -> Iterator[Traffic]:
        """The same in pieces."""
        for done in range(0, self.requests, most):
            some = min(most, self.requests - done)
            begin = self.begin_us + done * self.step_us
            yield Traffic(self.number + done, some, begin, self.per_s)


def seed(engine: Engine) -> None:
    """The pods, hosts and destinations of the traffic."""
    with writing(engine) as connection:
        connection.execute(insert(host), [{"id": 1, "name": HOST}])
        names = [(1, "v1"), (2, "v2")]
        connection.execute(
            insert(destination), [{"id": n, "host": HOST, "subset": s} for n, s in names]
        )
        rows = []
        for first, number, name, version in (
            (1, _SENDERS, "frontend-v1-6c9d8f7b5d", "v1"),
            (101, _PRIMARIES, "forecast-v2-7b9c4d5e8", "v2"),
            (201, _MIRRORS, "forecast-v1-5d8f9b7c6", "v1"),
        ):
            for n in range(first, first + number):
                app = name.split("-", 1)[0]
                rows.append(
                    {
                        "id": n, "digest": n.to_bytes(16), "cluster": "", "namespace": "weather",
                        "pod": f"{name}-x{n:04}", "node": "", "container": "istio-proxy",
                        "labels": json.dumps({"app": app, "version": version}),
                    }
                )  # fmt: skip
        connection.execute(insert(pod), rows)


def store(engine: Engine, traffic: Traffic) -> None:
    """Writes the lines of some traffic as collectors would have, in time."""
    for some in traffic.portions():
        with writing(engine) as connection:
            _store(connection, some)
        if traffic.requests > _PORTION:
            tell(f"  {(some.number + some.requests) * LINES:,} lines")


@contextmanager
def without_indexes(engine: Engine) -> Iterator[None]:
    """SQLite builds the indexes on hashes at once, after the block, and not row by row."""
    if engine.dialect.name == "postgresql":
        yield
        return
    names = ("ix_observation_key", "ix_observation_request_id")
    indexes = [one for one in observation.indexes if one.name in names]
    for index in indexes:
        index.drop(engine)
    yield
    for index in indexes:
        index.create(engine)


def cover(engine: Engine, traffic: Traffic) -> None:
    """Makes the partitions of some traffic, an hour each."""
    if engine.dialect.name != "postgresql":
        return
    Partitions(engine, "hour").cover(traffic.end_us)
    with writing(engine) as connection:
        known = {part.begin_us for part in list_parts(connection)}
        for begin in range(traffic.begin_us // HOUR_US * HOUR_US, traffic.end_us, HOUR_US):
            if begin not in known:
                name = partition_name(begin, begin + HOUR_US)
                connection.exec_driver_sql(
                    f"CREATE TABLE {name} PARTITION OF observation "
                    f"FOR VALUES FROM ({begin}) TO ({begin + HOUR_US})"
                )


def keep_in_order(engine: Engine, now_us: int) -> None:
    """Does what maintenance does to partitions, and what auto-vacuum does."""
    if engine.dialect.name != "postgresql":
        with engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
        return
    with keeping(engine) as upkeep, engine.connect() as connection:
        assert upkeep is not None
        for part in list_parts(connection):
            if part.end_us < now_us:
                upkeep.index(part)
            upkeep.summarize(part)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def _store(connection: Connection, some: Traffic) -> None:
    ids = connection.scalar(text("SELECT coalesce(max(id), 0) FROM batch")) or 0
    offset = some.number * LINES
    batches = [
        {
            "id": ids + 1 + number,
            "from_offset": offset + number * _PER_BATCH * LINES,
            "to_offset": offset + min((number + 1) * _PER_BATCH, some.requests) * LINES,
            "min_start_us": part.begin_us,
            "max_start_us": part.end_us,
            "max_end_us": part.end_us,
            "committed_us": part.end_us,
            "read": part.requests * LINES,
        }
        for number, part in enumerate(some.portions(_PER_BATCH))
    ]
    values = {
        "topic": TOPIC, "partition": 0, "ignored": 0, "quarantined": 0, "heartbeats": 0,
        "skewed": 0, "policy_version_id": 1,
    }  # fmt: skip
    connection.execute(
        insert(batch),
        [one | values | {"records": one["read"], "stored": one["read"]} for one in batches],
    )
    parameters = {
        "number": some.number, "requests": some.requests, "begin": some.begin_us,
        "step": some.step_us, "first_batch": ids + 1,
    }  # fmt: skip
    on_postgresql = connection.dialect.name == "postgresql"
    if not on_postgresql:
        connection.exec_driver_sql("DROP TABLE IF EXISTS temp.request")
        connection.exec_driver_sql("CREATE TEMP TABLE request(n INTEGER PRIMARY KEY, h BLOB)")
        connection.execute(text(_IDS_OF_SQLITE), parameters)
    connection.execute(text(_insert_lines(on_postgresql=on_postgresql)), parameters)
    note_presence(connection, ids + 1, {one["id"]: one["committed_us"] for one in batches})


_IDS_OF_SQLITE: Final = """
INSERT INTO request
WITH RECURSIVE r(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n + 1 < :requests)
SELECT n, randomblob(16) FROM r"""


def _insert_lines(*, on_postgresql: bool) -> str:
    """The lines of a portion, all of it computed by the database."""
    client, server = int(Role.CLIENT), int(Role.SERVER)
    if on_postgresql:
        numbers = "generate_series(0, CAST(:requests AS bigint) - 1) n"
        requests = f"(SELECT n, md5(CAST(:number + n AS text)) AS h FROM {numbers}) r"
        key, hexed, least = "decode(h, 'hex')", "h", "least"
    else:
        requests, key, hexed, least = "request r", "h", "lower(hex(h))", "min"

    def cast(what: str, kind: str) -> str:
        return f"CAST({what} AS {kind})" if on_postgresql else what

    sides = " UNION ALL ".join(
        f"SELECT {n} AS side, {role} AS role, {first} AS pod, {pods} AS pods, "
        f"{to} AS dest, {hops << HOP_SHIFT} AS traits"
        for n, role, first, pods, to, hops in (
            (0, client, 1, _SENDERS, 2, 1),
            (1, server, 101, _PRIMARIES, 2, 1),
            (2, server, 201, _MIRRORS, 1, 2),
        )
    )
    after = f"(n / {_PER_BATCH} + 1) * {_PER_BATCH}"
    start = "(:begin + n * :step + side * 900)"
    request_id = (
        f"substr({hexed}, 1, 8) || '-' || substr({hexed}, 9, 4) || '-4' || substr({hexed}, 14, 3) "
        f"|| '-' || substr({hexed}, 17, 4) || '-' || substr({hexed}, 21, 12)"
    )
    columns: dict[str, str] = {
        "ingested_us": f":begin + {least}({after}, :requests) * :step",
        "batch_id": f":first_batch + n / {_PER_BATCH}",
        "record_offset": f"(:number + n) * {LINES} + side",
        "line_id": "(:number + n) * 7919 + side",
        "start_us": start,
        "end_us": f"{start} + 4000 + n * 7919 % 60 * 1000",
        "bytes_received": "0",
        "bytes_sent": "800 + n % 512",
        "item": "0",
        "pod_id": cast("pod + n % pods", "int"),
        "host_id": "1",
        "destination_id": cast("dest", "int"),
        "traits": cast("traits", "int"),
        "code": cast("CASE WHEN n % 97 = 0 THEN 404 ELSE 200 END", "smallint"),
        "role": cast("role", "smallint"),
        "attempt": cast("0", "smallint"),
        "key": key,
        "request_id": request_id,
        "method": "'GET'",
        "path": "'/api/v1/forecast/stations/' || (n % 5000) || '?units=metric&days=7'",
        "flags": "''",
        "details": "'via_upstream'",
        "authority": "'forecast.weather:3002'",
        "route": "'default'",
        "forwarded_for": "'10.244.' || (n % 250) || '.17'",
        "user_agent": "'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'",
    }
    assert set(columns) == {column.name for column in observation.columns}
    order = "" if on_postgresql else " ORDER BY n, side"
    lost = f"NOT (side = 2 AND (:number + n) % {_LOST} = 77)"
    return (
        f"INSERT INTO observation ({', '.join(columns)}) "
        f"SELECT {', '.join(columns.values())} FROM {requests} "
        f"CROSS JOIN ({sides}) s WHERE {lost}{order}"
    )


def caught_up(connection: Connection, end_offset: int, now_us: int) -> None:
    """All is read to its end, as the broker says."""
    values: dict[str, Any] = {
        "next_offset": end_offset, "end_offset": end_offset, "end_checked_us": now_us,
        "watermark_us": now_us, "updated_us": now_us,
    }  # fmt: skip
    known = connection.scalar(select(position.c.next_offset))
    if known is None:
        values |= {"topic": TOPIC, "partition": 0, "owner_epoch": 1}
        connection.execute(insert(position).values(values))
    else:
        connection.execute(position.update().values(values))
