"""What policy files declare, in the database: new and changed policies, and those that went.

A set of files or folders declares its policies as a whole. Which ones it declared last, and what
is wrong with it now, is kept beside them, so that a policy taken out of a file ends, also while
nobody was looking, and so that every process can tell of files that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.policies import end_versions, record_versions
from collector.db.tables import setting
from verifier.policies.model import Policy
from verifier.policies.stored import to_record

_PREFIX: Final = "policies of "
CLUSTER: Final = f"{_PREFIX}the cluster"
"""Not a path: those are absolute."""


class Declared(msgspec.Struct):
    """What is known of a set of policy files, or of the cluster.

    Attributes:
        names: The policies that they declared last.
        trouble: Why they cannot be read now, or not all; empty: they can. What they declared last
            holds.
    """

    names: list[str] = []
    trouble: str = ""


class Changes(msgspec.Struct, frozen=True):
    """What files changed: ids of new versions, names of policies that ended."""

    recorded: list[int]
    ended: list[str]


def declare(
    connection: Connection, paths: Sequence[Path], policies: Sequence[Policy], now_us: int
) -> Changes:
    """Records what files declare, and ends what they declared before and no longer do.

    A policy that other files declare, too, does not end.

    Args:
        connection: In a write transaction.
        paths: The files and folders, as they were given.
        policies: All that is in them.
        now_us: Wall clock.
    """
    key = _key(paths)
    names = {policy.name for policy in policies}
    known = dict(_all(connection))
    elsewhere = names_besides(connection, key)
    ended = sorted(set(known.get(key, Declared()).names) - names - elsewhere)
    end_versions(connection, ended, now_us)
    recorded = record_versions(connection, [to_record(one) for one in policies], now_us)
    save(connection, key, Declared(sorted(names)))
    return Changes(recorded, ended)


def note_trouble(connection: Connection, paths: Sequence[Path], words: str) -> None:
    """Notes why files cannot be read, for every process; empty words: they can."""
    key = _key(paths)
    save(connection, key, Declared(declared(connection, key).names, words))


def declared(connection: Connection, key: str) -> Declared:
    """What is known of a set of files, or of the cluster."""
    return dict(_all(connection)).get(key, Declared())


def names_besides(connection: Connection, key: str) -> set[str]:
    """The policies that other sets of files, or the cluster, declared last."""
    return {name for other, found in _all(connection) if other != key for name in found.names}


def troubles(connection: Connection) -> list[str]:
    """What is wrong with policy files and with those of the cluster, one line each."""
    return [found.trouble for _, found in _all(connection) if found.trouble]


def _key(paths: Sequence[Path]) -> str:
    return _PREFIX + " ".join(sorted(str(path.absolute()) for path in paths))


def _all(connection: Connection) -> Iterator[tuple[str, Declared]]:
    query = select(setting).where(setting.c.key.startswith(_PREFIX)).order_by(setting.c.key)
    for row in connection.execute(query):
        yield row.key, msgspec.json.decode(row.value, type=Declared)


def save(connection: Connection, key: str, found: Declared) -> None:
    """Keeps what is known of a set of files, or of the cluster."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    value = msgspec.json.encode(found).decode()
    connection.execute(
        dialect.insert(setting)
        .values(key=key, value=value)
        .on_conflict_do_update(index_elements=["key"], set_={"value": value})
    )
