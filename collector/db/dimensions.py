"""Numbers for what repeats in many rows: pods, hosts, destinations.

A number is given once and stays. It is made in a transaction of its own, before the rows that
use it: a batch that is rolled back never leaves a number in the cache that the database forgot,
and replicas that meet a new pod at the same moment agree on one number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.engine import writing
from collector.db.rows import Ids
from collector.db.tables import destination, host, pod
from collector.observation import Destination, Observation
from collector.records import Identity
from collector.redact import scrub

_CACHE_LIMIT: Final = 50_000
"""Of each kind. Attackers choose authorities; only watched hosts come here, pods are ours."""
_DIGEST_BYTES: Final = 16


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
    """Gives numbers to pods, hosts and destinations, and remembers them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.ids: Final = Ids()

    def learn(self, seen: Sequence[Observation]) -> None:
        """Makes sure that everything these observations name has a number in `ids`."""
        known = self.ids
        for cache in (known.pods, known.hosts, known.destinations):
            if len(cache) > _CACHE_LIMIT:
                cache.clear()
        # The same object again and again: by its address it is found without hashing its fields.
        named = {id(one.pod): one.pod for one in seen}
        sent = {id(one.destination): one.destination for one in seen}
        pods = {one for one in named.values() if one not in known.pods}
        hosts = {one.host for one in seen}.difference(known.hosts)
        destinations = {
            one for one in sent.values() if one is not None and one not in known.destinations
        }
        if pods or hosts or destinations:
            self._number_all(pods, hosts, destinations)

    def _number_all(
        self, pods: set[Identity], hosts: set[str], destinations: set[Destination]
    ) -> None:
        # Sorted: two replicas that insert the same rows wait for each other, never in a circle.
        with writing(self._engine) as connection:
            new_pods = {
                identity: _number(connection, pod, values, ("digest",))
                for identity, values in sorted(
                    ((identity, _pod_values(identity)) for identity in pods),
                    key=lambda found: bytes(found[1]["digest"]),
                )
            }
            new_hosts = {
                name: _number(connection, host, {"name": scrub(name)}, ("name",))
                for name in sorted(hosts)
            }
            new_destinations = {
                to: _number(connection, destination, _destination_values(to), ("host", "subset"))
                for to in sorted(destinations)
            }
        # Only now, after the commit, are they facts.
        self.ids.pods.update(new_pods)
        self.ids.hosts.update(new_hosts)
        self.ids.destinations.update(new_destinations)


def _pod_values(identity: Identity) -> dict[str, Any]:
    return {"digest": identity_digest(identity), **_identity_fields(identity)}


def _destination_values(to: Destination) -> dict[str, Any]:
    return {"host": scrub(to.host), "subset": scrub(to.subset)}


def _number(
    connection: Connection, table: Table, values: dict[str, Any], unique: tuple[str, ...]
) -> int:
    """The id of the row with these unique values, which is inserted when it is not there."""
    found = select(table.c.id).where(*(table.c[name] == values[name] for name in unique))
    known = connection.scalar(found)
    if known is not None:
        return int(known)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(values).on_conflict_do_nothing())
    # Another replica may have been first; its row is visible now (READ COMMITTED).
    return int(connection.scalars(found).one())
