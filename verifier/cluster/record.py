"""The cluster's policies, in the database: new versions of what changed, ends of what is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, func, select

from collector.db.policies import end_versions, record_versions
from collector.db.tables import policy_version
from collector.policy_record import PolicyRecord
from verifier.cluster.desired import Desired
from verifier.policies.model import Policy
from verifier.policies.stored import from_document, to_record
from verifier.policy_files.declared import CLUSTER, Declared, declared, names_besides, save
from verifier.settle.replay import enqueue_range
from verifier.settle.windows import Span
from verifier.tables import settled_policy

LATE_US: Final = 10_000_000
"""A change that is seen so soon is recorded as of now, so that collectors' acknowledgements and
the grace count from then. An older one was made while nobody watched: it holds since it was made.
"""

IsGone = Callable[[str, str], bool]
"""Whether the resource of a policy, by kind and `NAMESPACE/NAME`, is gone for certain."""


class Changes(msgspec.Struct, frozen=True):
    """What was written: names of new versions and of policies that ended, and why others wait."""

    recorded: list[str]
    ended: list[str]
    again: int = 0


def titles(connection: Connection) -> list[str]:
    """`KIND NAMESPACE/NAME` of the resources of which the cluster declared policies last."""
    rows = _latest(connection, declared(connection, CLUSTER).names)
    return sorted({from_document(row.document).resource for row in rows.values()})


def note(connection: Connection, trouble: str) -> None:
    """Notes what is wrong, where nothing can be said of policies yet."""
    save(connection, CLUSTER, Declared(declared(connection, CLUSTER).names, trouble))


def write(
    connection: Connection, found: Desired, is_gone: IsGone, trouble: str, now_us: int
) -> Changes:
    """Records what a cluster wants, and ends what it declared before and no longer has.

    Rules: files come first, a policy that they declare is theirs. What cannot be read stays as it
    was. What ends is gone for certain, or its resource has no mirror any more.

    Args:
        connection: In a write transaction.
        found: What should be recorded.
        is_gone: What is gone.
        trouble: What people should know: why the cluster cannot be followed, or not all of it.
        now_us: The database's clock.
    """
    theirs = names_besides(connection, CLUSTER)
    before = _latest(connection, declared(connection, CLUSTER).names)
    wanted = {one.name: one for one in found.policies if one.name not in theirs}
    ended = _ends(before, wanted, theirs, found, is_gone, now_us)
    for name, at_us in ended.items():
        end_versions(connection, [name], at_us)
    latest = _latest(connection, wanted)
    recorded, since_us = [], now_us
    for name, policy in wanted.items():
        record = to_record(policy)
        if _changed(record, latest.get(name)):
            from_us = _valid_from(found, policy, latest.get(name), now_us)
            record_versions(
                connection, [msgspec.structs.replace(record, valid_from_us=from_us)], now_us
            )
            recorded.append(name)
            since_us = min(since_us, from_us)
    names = sorted((before.keys() - ended.keys() - theirs) | wanted.keys())
    save(connection, CLUSTER, Declared(names, trouble))
    again = _settle_again(connection, [*recorded, *ended], min([since_us, *ended.values()]), now_us)
    return Changes(recorded, sorted(ended), again)


def _ends(
    before: Mapping[str, Row[Any]],
    wanted: Mapping[str, Policy],
    theirs: set[str],
    found: Desired,
    is_gone: IsGone,
    now_us: int,
) -> dict[str, int]:
    """The policies that end, and when."""
    ended = {}
    for name, row in before.items():
        resource = from_document(row.document).resource
        if name in wanted or name in theirs or resource in found.refused:
            continue
        if resource in found.changed_us:
            # It is there, and has no such route, or no mirror, any more.
            ended[name] = _since(found.changed_us[resource], row, now_us)
        elif is_gone(*resource.split(" ", 1)):
            ended[name] = now_us
    return ended


def _latest(connection: Connection, names: Iterable[str]) -> dict[str, Row[Any]]:
    """The newest version of each policy."""
    c = policy_version.c
    newest = select(func.max(c.id)).group_by(c.name)
    rows = connection.execute(select(policy_version).where(c.id.in_(newest)))
    wanted = set(names)
    return {row.name: row for row in rows if row.name in wanted}


def _changed(record: PolicyRecord, last: Row[Any] | None) -> bool:
    """Whether a policy is not recorded as it is."""
    return last is None or last.valid_to_us is not None or last.document != record.document


def _valid_from(found: Desired, policy: Policy, last: Row[Any] | None, now_us: int) -> int:
    if policy.valid_from_us is not None:
        return policy.valid_from_us
    return _since(found.changed_us.get(policy.resource), last, now_us)


def _since(changed_us: int | None, last: Row[Any] | None, now_us: int) -> int:
    """From when a change holds: when it was made, if nobody saw it then, else now."""
    if changed_us is None or changed_us > now_us - LATE_US:
        return now_us
    edges = () if last is None else (last.valid_from_us, last.valid_to_us)
    return now_us if any(edge is not None and edge >= changed_us for edge in edges) else changed_us


def _settle_again(connection: Connection, names: Iterable[str], since_us: int, now_us: int) -> int:
    """Has windows settled again that were judged by what did not hold any more."""
    if since_us >= now_us:
        return 0
    known = set(connection.scalars(select(settled_policy.c.policy)))
    again = sorted(known.intersection(names))
    return enqueue_range(connection, again, Span(since_us, now_us)) if again else 0
