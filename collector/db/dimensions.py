"""Numbers for what repeats in many rows: pods, hosts, destinations.

A number is made in a transaction of its own, before the rows that use it: a batch that is rolled
back never leaves a number in the cache that the database forgot, and replicas that meet a new pod
at the same moment agree on one number. What no line names any more goes (`collector.db.unseen`):
each row tells when it was seen, to half a day, and who writes lines makes sure that nothing went
since the numbers were learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, Table, bindparam, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.engine import writing
from collector.db.rows import Ids
from collector.db.tables import destination, host, pod
from collector.db.unseen import SEEN_STEP_US, edition, hold_numbers
from collector.errors import DatabaseAway
from collector.observation import Destination, Observation
from collector.records import Identity
from collector.redact import scrub

_CACHE_LIMIT: Final = 50_000
"""Of each kind. Attackers choose authorities; only watched hosts come here, pods are ours."""
_DIGEST_BYTES: Final = 16
_AT_ONCE: Final = 500
_TRIES: Final = 20
"""Between two of them a portion was dropped, and those are made with rests."""

Named = TypeVar("Named", bound=Hashable)
Done = TypeVar("Done")
Rows = dict[tuple[Any, ...], dict[str, Any]]
"""Values of rows by those that are unique."""


def identity_digest(identity: Identity) -> bytes:
    """The unique key of a pod's row: over all of its fields."""
    text = json.dumps([*_identity_fields(identity).values()], ensure_ascii=False)
    return blake2b(text.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).digest()


def _identity_fields(identity: Identity) -> dict[str, str]:
    labels = {scrub(name): scrub(value) for name, value in identity.labels}
    return {
        "cluster": scrub(identity.cluster),
        "namespace": scrub(identity.namespace),
        "pod": scrub(identity.pod),
        "node": scrub(identity.node),
        "container": scrub(identity.container),
        "labels": json.dumps(labels, ensure_ascii=False, sort_keys=True),
    }


class Dimensions:
    """Gives numbers to pods, hosts and destinations, and remembers them for half a day."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.ids: Final = Ids()
        self._step = 0
        self._edition: str | None = None

    def within(
        self,
        seen: Sequence[Observation],
        now_us: int,
        write: Callable[[Connection], Done],
        timed: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> Done:
        """Writes in one transaction in which the numbers of all that was seen hold.

        Args:
            seen: What `write` stores.
            now_us: Wall clock; what is stored carries no later time.
            write: Gets the transaction; may be called once only.
            timed: Goes around each transaction.

        Raises:
            DatabaseAway: Numbers were dropped again and again.
        """
        for _ in range(_TRIES):
            self.learn(seen, now_us)
            with timed(), writing(self._engine) as connection:
                if not seen or hold_numbers(connection) == self._edition:
                    return write(connection)
            self._forget()
        raise DatabaseAway("pods are being dropped all the time; trying again")

    def learn(self, seen: Sequence[Observation], now_us: int) -> None:
        """Makes sure that everything these observations name has a number in `ids`."""
        known, step = self.ids, now_us // SEEN_STEP_US
        caches = (known.pods, known.hosts, known.destinations)
        if step != self._step or any(len(cache) > _CACHE_LIMIT for cache in caches):
            self._forget()
            self._step = step
        # The same object again and again: by its address it is found without hashing its fields.
        named = {id(one.pod): one.pod for one in seen}
        sent = {id(one.destination): one.destination for one in seen}
        pods = {one for one in named.values() if one not in known.pods}
        hosts = {one.host for one in seen}.difference(known.hosts)
        destinations = {
            one for one in sent.values() if one is not None and one not in known.destinations
        }
        if pods or hosts or destinations:
            self._number_all(pods, hosts, destinations, now_us)

    def _forget(self) -> None:
        self.ids.forget()
        self._edition = None

    def _number_all(
        self, pods: set[Identity], hosts: set[str], destinations: set[Destination], now_us: int
    ) -> None:
        with writing(self._engine) as connection:
            # Before the first number is read: what goes after that shows.
            known = edition(connection) if self._edition is None else self._edition
            numbers = _Numbers(connection, now_us)
            new_pods = numbers.of(pod, pods, _pod_values, ("digest",))
            new_hosts = numbers.of(host, hosts, _host_values, ("name",))
            new_destinations = numbers.of(
                destination, destinations, _destination_values, ("host", "subset")
            )
        # Only now, after the commit, are they facts.
        self._edition = known
        self.ids.pods.update(new_pods)
        self.ids.hosts.update(new_hosts)
        self.ids.destinations.update(new_destinations)


def _pod_values(identity: Identity) -> dict[str, Any]:
    return {"digest": identity_digest(identity), **_identity_fields(identity)}


def _host_values(name: str) -> dict[str, Any]:
    return {"name": scrub(name)}


def _destination_values(to: Destination) -> dict[str, Any]:
    return {"host": scrub(to.host), "subset": scrub(to.subset)}


class _Numbers:
    """Reads and makes rows in one transaction, and notes that they were seen.

    All in order: two replicas that write the same rows wait for each other, never in a circle.
    """

    def __init__(self, connection: Connection, now_us: int) -> None:
        self._connection: Final = connection
        self._now_us: Final = now_us
        self._since_us: Final = now_us // SEEN_STEP_US * SEEN_STEP_US

    def of(
        self,
        table: Table,
        named: Collection[Named],
        values_of: Callable[[Named], dict[str, Any]],
        unique: tuple[str, ...],
    ) -> dict[Named, int]:
        """The number of each, in rows with these values, of which some are unique."""
        values = {one: values_of(one) for one in named}
        keys = {one: tuple(row[name] for name in unique) for one, row in values.items()}
        rows: Rows = {keys[one]: row for one, row in values.items()}
        found: dict[tuple[Any, ...], int] = {}
        ordered = sorted(rows)
        for begin in range(0, len(ordered), _AT_ONCE):
            some = ordered[begin : begin + _AT_ONCE]
            found |= self._some(table, {key: rows[key] for key in some}, unique)
        return {one: found[key] for one, key in keys.items()}

    def _some(
        self, table: Table, rows: Rows, unique: tuple[str, ...]
    ) -> dict[tuple[Any, ...], int]:
        found = self._read(table, list(rows), unique)
        new = [row | {"seen_us": self._now_us} for key, row in rows.items() if key not in found]
        if new:
            dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
            self._connection.execute(dialect.insert(table).on_conflict_do_nothing(), new)
            # Another replica may have been first; its row is visible now (READ COMMITTED).
            found |= self._read(table, [key for key in rows if key not in found], unique)
        return found

    def _read(
        self, table: Table, keys: Sequence[tuple[Any, ...]], unique: tuple[str, ...]
    ) -> dict[tuple[Any, ...], int]:
        columns = [table.c[name] for name in unique]
        is_wanted = (
            columns[0].in_([key[0] for key in keys])
            if len(columns) == 1
            else tuple_(*columns).in_(keys)
        )
        query = select(table.c.id, table.c.seen_us, *columns).where(is_wanted)
        rows = self._connection.execute(query).all()
        self._see(table, (row.id for row in rows if (row.seen_us or 0) < self._since_us))
        return {tuple(row[2:]): row.id for row in rows}

    def _see(self, table: Table, numbers: Iterable[int]) -> None:
        stale = [{"number": number} for number in sorted(numbers)]
        if stale:
            statement = update(table).where(table.c.id == bindparam("number"))
            self._connection.execute(statement.values(seen_us=self._now_us), stale)
