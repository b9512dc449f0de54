"""A small mesh to settle: policies, and lines written as the collector writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, delete, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.dimensions import identity_digest
from collector.db.engine import writing
from collector.db.partitions import Partitions
from collector.db.policies import record_versions
from collector.db.tables import (
    batch,
    destination,
    host,
    metadata,
    node_life,
    observation,
    pod,
    position,
)
from collector.observation import Destination
from collector.records import Identity, Role
from tests.presence import note_presence
from verifier.policies.model import Mirror, Policy, Rules, Weighted
from verifier.policies.stored import to_record
from verifier.settle.tick import Ticked, Ticker, TickRules
from verifier.settle.transaction import settling
from verifier.settle.watermark import EvidenceRules

SECOND = 1_000_000
NOW = 1_760_000_000 * SECOND
"""When every test begins: a multiple of all window sizes that tests use."""
HOST = "forecast.weather.svc.cluster.local"
TOPIC = "istio-access-logs"

PODS = {
    "client": Identity("frontend-v1-6c9d8f7b5d-x2x7p", "weather"),
    "client2": Identity("frontend-v1-6c9d8f7b5d-zzzzz", "weather"),
    "primary": Identity("forecast-v2-7b9c4d5e8-klmno", "weather"),
    "primary2": Identity("forecast-v2-7b9c4d5e8-pqrst", "weather"),
    "mirror0": Identity("forecast-v1-5d8f9b7c6-abcde", "weather"),
    "mirror0b": Identity("forecast-v1-5d8f9b7c6-fghij", "weather"),
    "mirror1": Identity("forecast-v3-5d8f9b7c6-abcde", "weather"),
    "unknown": Identity("forecast-77cfbd95d8-abcde", "weather"),
    "foreign": Identity("billing-77cfbd95d8-abcde", "weather"),
}
SUBSETS = {
    "v1": Destination(HOST, "v1"),
    "v2": Destination(HOST, "v2"),
    "v3": Destination(HOST, "v3"),
}


def make_policy(*mirrors: tuple[str, float], **fields: Any) -> Policy:
    """A policy of the forecast service: live is v2; mirrors are (subset, percent) pairs."""
    rules = fields.pop("rules", Rules())
    values: dict[str, Any] = {
        "name": "weather/forecast",
        "namespace": "weather",
        "hosts": (HOST,),
        "live": (Weighted(SUBSETS["v2"], 100),),
        "mirrors": tuple(Mirror(SUBSETS[name], percent) for name, percent in mirrors),
        "rules": rules,
    }
    return Policy(**(values | fields))


@dataclass(frozen=True, kw_only=True)
class Given:
    """One line of a test.

    Attributes:
        pod: A name in `PODS`, with the node's name behind an `@` if any.
        start_us: Start of the stream.
        key: Number of the request.
        to: Subset of a client line's destination.
        body: Size of the request's, bytes.
    """

    pod: str
    start_us: int
    key: int = 0
    duration_us: int = 5_000
    code: int = 200
    traits: int = 0
    attempt: int = 0
    line_id: int | None = None
    to: str = "v2"
    path: str = "/"
    body: int = 0
    role: Role | None = None

    @property
    def real_role(self) -> Role:
        """By the pod unless it is given."""
        if self.role is not None:
            return self.role
        return Role.CLIENT if self.pod.startswith("client") else Role.SERVER


def request(key: int, start_us: int, **fields: Any) -> list[Given]:
    """A request with its copy, each logged once."""
    return [
        Given(pod="client", key=key, start_us=start_us, **fields),
        Given(pod="primary", key=key, start_us=start_us + 1_000, **fields),
        Given(pod="mirror0", key=key, start_us=start_us + 2_000, **fields),
    ]


def key_of(number: int, path: str = "/") -> bytes:
    """The key of a request."""
    return hashlib.blake2b(f"{number} {path}".encode(), digest_size=16).digest()


@dataclass
class World:
    """A database with lines, and a verifier that is ticked by hand.

    Attributes:
        engine: A migrated database.
        now_us: The database's clock.
        rules: How windows are settled.
        set_wise: As for `Ticker`.
        noted: Whether batches tell who wrote when; those of older releases do not.
    """

    engine: Engine
    now_us: int = NOW
    rules: TickRules = field(
        default_factory=lambda: TickRules(
            window_us=10 * SECOND,
            evidence=EvidenceRules(max_age_us=20 * SECOND, allowance_us=5 * SECOND),
        )
    )
    set_wise: bool = True
    noted: bool = True
    _offsets: dict[int, int] = field(default_factory=dict)
    _line_ids: int = 0

    def __post_init__(self) -> None:
        Partitions(self.engine).cover(self.now_us)
        self.ticker = Ticker(self.rules, set_wise=self.set_wise)

    def declare(self, *policies: Policy, at_us: int | None = None) -> None:
        """Records policies as they are now."""
        with writing(self.engine) as connection:
            records = [to_record(policy) for policy in policies]
            record_versions(connection, records, self.now_us if at_us is None else at_us)

    def write(self, lines: Sequence[Given], *, partition: int = 0, connection: Any = None) -> None:
        """Writes a batch with these lines, as the collector does in one transaction."""
        begin = self._offsets.get(partition, 0)
        end = self._offsets[partition] = begin + max(1, len(lines))
        own = writing(self.engine) if connection is None else nullcontext(connection)
        with own as connection:
            numbers = _Numbers(connection)
            starts = [line.start_us for line in lines]
            batch_id = connection.execute(
                insert(batch)
                .values(
                    topic=TOPIC, partition=partition, from_offset=begin, to_offset=end,
                    records=len(lines), read=len(lines), stored=len(lines), ignored=0,
                    quarantined=0, heartbeats=0, skewed=0, policy_version_id=1,
                    min_start_us=min(starts, default=None),
                    max_start_us=max(starts, default=None),
                    max_end_us=max((x.start_us + x.duration_us for x in lines), default=None),
                    committed_us=self.now_us,
                )
                .returning(batch.c.id)
            ).scalar_one()  # fmt: skip
            rows = [
                self._row(numbers, line, batch_id, begin + item) for item, line in enumerate(lines)
            ]
            if rows:
                connection.execute(insert(observation), rows)
                if self.noted:
                    note_presence(connection, batch_id, {batch_id: self.now_us})
            ends = [line.start_us + line.duration_us for line in lines]
            known = max(ends, default=None)
            self._place(connection, partition, next_offset=end, watermark_us=known)

    def _row(self, numbers: _Numbers, line: Given, batch_id: int, offset: int) -> dict[str, Any]:
        self._line_ids += 1
        name, _, node = line.pod.partition("@")
        identity = PODS[name]
        if node:
            identity = Identity(identity.pod, identity.namespace, "", node)
        is_client = line.real_role is Role.CLIENT
        return {
            "ingested_us": self.now_us, "batch_id": batch_id, "record_offset": offset,
            "line_id": self._line_ids if line.line_id is None else line.line_id,
            "start_us": line.start_us, "end_us": line.start_us + line.duration_us,
            "bytes_received": line.body, "bytes_sent": 0, "item": 0,
            "pod_id": numbers.pod(identity), "host_id": numbers.host(HOST),
            "destination_id": numbers.destination(SUBSETS[line.to]) if is_client else None,
            "traits": line.traits, "code": line.code, "role": int(line.real_role),
            "attempt": line.attempt, "key": key_of(line.key, line.path),
            "request_id": f"id-{line.key}", "method": "GET", "path": line.path, "flags": "",
            "details": "", "authority": "forecast:3002", "route": "default",
        }  # fmt: skip

    def _place(self, connection: Any, partition: int, **values: Any) -> None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        known = connection.execute(
            select(position.c.watermark_us).where(position.c.partition == partition)
        ).scalar()
        given = values.get("watermark_us")
        values["watermark_us"] = max((x for x in (known, given) if x is not None), default=None)
        values["updated_us"] = self.now_us
        connection.execute(
            dialect.insert(position)
            .values(
                topic=TOPIC, partition=partition, owner_epoch=1, **({"next_offset": 0} | values)
            )
            .on_conflict_do_update(index_elements=["topic", "partition"], set_=values)
        )

    def caught_up(self, *partitions: int, lag: int = 0) -> None:
        """The broker says how far partitions reach: `lag` records beyond what is read."""
        with writing(self.engine) as connection:
            for partition in partitions or tuple(self._offsets) or (0,):
                end = self._offsets.setdefault(partition, 0) + lag
                self._place(
                    connection,
                    partition,
                    next_offset=end - lag,
                    end_offset=end,
                    end_checked_us=self.now_us,
                )

    def stop(self, partition: int) -> None:
        """A partition waits for an operator."""
        with writing(self.engine) as connection:
            connection.execute(
                update(position).where(position.c.partition == partition).values(state="stopped")
            )

    def alive(self, node: str, until_us: int) -> None:
        """A node's log path was alive then."""
        with writing(self.engine) as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(
                dialect.insert(node_life)
                .values(cluster="", node=node, seen_us=until_us)
                .on_conflict_do_update(
                    index_elements=["cluster", "node"], set_={"seen_us": until_us}
                )
            )

    def tick(self) -> Ticked:
        """One tick."""
        with settling(self.engine) as connection:
            return self.ticker.tick(connection, self.now_us)

    def settle_all(self, after_s: int = 120) -> list[Ticked]:
        """Lets time pass while nothing more comes, and ticks until nothing is left to do."""
        self.now_us += after_s * SECOND
        self.caught_up()
        found = [self.tick()]
        while found[-1].more:
            found.append(self.tick())
        return found


class _Numbers:
    """Numbers of pods, hosts and destinations, made as needed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._known: dict[tuple[Any, ...], int] = {}

    def pod(self, identity: Identity) -> int:
        return self._number(
            pod,
            {"digest": identity_digest(identity)},
            cluster=identity.cluster, namespace=identity.namespace, pod=identity.pod,
            node=identity.node, container=identity.container, labels="{}",
        )  # fmt: skip

    def host(self, name: str) -> int:
        return self._number(host, {"name": name})

    def destination(self, to: Destination) -> int:
        return self._number(destination, {"host": to.host, "subset": to.subset})

    def _number(self, table: Any, unique: dict[str, Any], **more: Any) -> int:
        told = (table.name, *unique.values())
        if told not in self._known:
            self._known[told] = self._look_up(table, unique, **more)
        return self._known[told]

    def _look_up(self, table: Any, unique: dict[str, Any], **more: Any) -> int:
        where = [table.c[name] == value for name, value in unique.items()]
        known = self._connection.execute(select(table.c.id).where(*where)).scalar()
        if known is None:
            values = insert(table).values(**unique, **more).returning(table.c.id)
            known = self._connection.execute(values).scalar_one()
        return int(known)


def written(engine: Engine, table: Any, *, without: Iterable[str] = ()) -> list[dict[str, Any]]:
    """All rows of a table, by id, without some columns."""
    left_out = set(without)
    with engine.connect() as connection:
        rows = connection.execute(select(table).order_by(table.c.id)).mappings()
        return [{k: v for k, v in row.items() if k not in left_out} for row in rows]


def emptied(engine: Engine) -> Engine:
    """The database without any rows."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            names = ", ".join(table.name for table in metadata.sorted_tables)
            connection.execute(text(f"TRUNCATE {names}"))
        else:
            for table in metadata.sorted_tables:
                connection.execute(delete(table))
    return engine
