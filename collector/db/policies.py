"""Policy versions as the collector sees them: names, hosts, and when each is in force.

What a policy demands is the verifier's business; here its document is text. A version is never
changed: a new one ends the one before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.acknowledged import WATCHED_AFTER_END_US, confirm
from collector.db.tables import instance, policy_version
from collector.policy_record import PolicyRecord

__all__ = [
    "PolicyRecord",
    "Watched",
    "acknowledge",
    "end_versions",
    "record_versions",
    "sign_off",
    "watched_hosts",
]

_FORGET_INSTANCE_US: Final = 24 * 3_600_000_000
_DIGEST_BYTES: Final = 16


class Watched(msgspec.Struct, frozen=True):
    """What collectors store lines about.

    Attributes:
        hosts: Hosts of all versions in force, or until lately.
        policy_version_id: The newest version among all, 0: there is none.
    """

    hosts: tuple[str, ...]
    policy_version_id: int


def version_digest(document: str, hosts: str) -> bytes:
    """The digest of a policy version, 16 bytes.

    Args:
        document: The policy as JSON.
        hosts: Its hosts as a JSON array, sorted.
    """
    text = f"{document}\n{hosts}".encode("utf-8", "replace")
    return blake2b(text, digest_size=_DIGEST_BYTES).digest()


def record_versions(
    connection: Connection, policies: Iterable[PolicyRecord], now_us: int
) -> list[int]:
    """Records policies that are new or changed; unchanged ones make no version.

    Args:
        connection: In a write transaction.
        policies: The policies as they are now. Others stay as they are, see `end_versions`.
        now_us: Wall clock.

    Returns:
        The ids of the new versions, in the order given.
    """
    made = [_record(connection, policy, now_us) for policy in policies]
    confirm(connection, now_us)
    return [version for version in made if version is not None]


def _record(connection: Connection, policy: PolicyRecord, now_us: int) -> int | None:
    hosts = json.dumps(sorted(policy.hosts))
    digest = version_digest(policy.document, hosts)
    last = connection.execute(
        select(policy_version)
        .where(policy_version.c.name == policy.name)
        .order_by(policy_version.c.id.desc())
        .limit(1)
    ).one_or_none()
    valid_from_us = policy.valid_from_us
    if last is not None and _says(last, digest, valid_from_us):
        return None
    if last is not None:
        valid_from_us = now_us if valid_from_us is None else valid_from_us
        _end(connection, policy.name, valid_from_us)
    values = {
        "name": policy.name,
        "document": policy.document,
        "hosts": hosts,
        "digest": digest,
        "valid_from_us": valid_from_us,
        "recorded_us": now_us,
    }
    done = connection.execute(insert(policy_version).values(values).returning(policy_version.c.id))
    return int(done.scalar_one())


def _says(last: Row[Any], digest: bytes, valid_from_us: int | None) -> bool:
    """Whether a version in force says the same already."""
    holds = last.valid_to_us is None and valid_from_us in (None, last.valid_from_us)
    return holds and bytes(last.digest) == digest


def end_versions(connection: Connection, names: Sequence[str], now_us: int) -> None:
    """Ends policies that are no more, now."""
    for name in names:
        _end(connection, name, now_us)


def _end(connection: Connection, name: str, at_us: int) -> None:
    connection.execute(
        update(policy_version)
        .where(policy_version.c.name == name, policy_version.c.valid_to_us.is_(None))
        .values(valid_to_us=at_us)
    )


def watched_hosts(connection: Connection, now_us: int) -> Watched:
    """What is to be stored at the moment."""
    ended_us = now_us - WATCHED_AFTER_END_US
    documents = connection.scalars(
        select(policy_version.c.hosts).where(
            or_(policy_version.c.valid_to_us.is_(None), policy_version.c.valid_to_us > ended_us)
        )
    )
    hosts = {host for document in documents for host in json.loads(document)}
    newest = connection.scalar(select(func.max(policy_version.c.id)))
    return Watched(tuple(sorted(hosts)), newest or 0)


def acknowledge(
    connection: Connection, owner: str, policy_version_id: int, started_us: int, now_us: int
) -> None:
    """A collector says that it lives and which version it watches; long-dead ones are removed.

    What every live collector watches then is in force.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {"policy_version_id": policy_version_id, "seen_us": now_us}
    connection.execute(
        dialect.insert(instance)
        .values(owner=owner, started_us=started_us, **values)
        .on_conflict_do_update(index_elements=[instance.c.owner], set_=values)
    )
    connection.execute(delete(instance).where(instance.c.seen_us < now_us - _FORGET_INSTANCE_US))
    confirm(connection, now_us)


def sign_off(connection: Connection, owner: str) -> None:
    """A collector ends: nobody waits for its acknowledgement any more."""
    connection.execute(delete(instance).where(instance.c.owner == owner))
