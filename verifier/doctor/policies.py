"""What the database tells of each policy: whose logs arrive, and what marks its copies."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, select

from collector.db.tables import pod, policy_version
from collector.records import Identity
from verifier.doctor import judge
from verifier.doctor.finding import Finding, ok, warn
from verifier.doctor.judge import Sides
from verifier.pairing.lines import Marker
from verifier.policies.model import Policy
from verifier.policies.resolve import PodVersions
from verifier.policies.stored import from_document
from verifier.settle import markers
from verifier.settle.silence import HOUR_US
from verifier.tables import pod_hour, settled_window
from verifier.times import iso_time

MOST_POLICIES: Final = 200
MOST_PODS: Final = 20_000
_LOOK_US: Final = 2 * HOUR_US
_WEEK_US: Final = 7 * 24 * HOUR_US

Report = Callable[[Finding], object]


def of_policies(connection: Connection, now_us: int, report: Report) -> None:
    """Tells of every policy in force.

    Args:
        connection: A reading transaction.
        now_us: The database's clock.
        report: Told each finding.
    """
    c = policy_version.c
    query = select(c.document).where(c.valid_to_us.is_(None)).order_by(c.name).limit(MOST_POLICIES)
    found: list[Policy] = []
    for document in connection.scalars(query):
        try:
            found.append(from_document(document))
        except msgspec.ValidationError:
            do = "record it again with this release: mirrorproof policy record"
            report(warn("policies", "one was recorded by another release", do))
    if not found:
        do = "mirrorproof policy record FILE, or collect --policy FILE"
        report(warn("policies", "none is in force: no line is stored", do))
        return
    report(ok("policies", f"{len(found)} in force"))
    pods = _pods(connection, now_us)
    for policy in found:
        report(judge.logs(_sides(connection, policy, pods, now_us)))
        if policy.mirrors:
            report(_marker(connection, policy.name, now_us))


def _pods(connection: Connection, now_us: int) -> list[Identity]:
    """Pods that received requests in the last hours."""
    since_us = (now_us - _LOOK_US) // HOUR_US * HOUR_US
    heard = select(pod_hour.c.pod_id).where(pod_hour.c.hour_us >= since_us, pod_hour.c.arrivals > 0)
    rows = connection.execute(select(pod).where(pod.c.id.in_(heard)).limit(MOST_PODS))
    return [_identity(row) for row in rows]


def _identity(row: Any) -> Identity:
    labels = tuple(sorted(json.loads(row.labels).items()))
    return Identity(row.pod, row.namespace, row.cluster, row.node, row.container, labels)


def _sides(connection: Connection, policy: Policy, pods: Sequence[Identity], now_us: int) -> Sides:
    versions = PodVersions((policy,))
    live = {one.destination for one in policy.live}
    mirrors = {one.destination for one in policy.mirrors}
    places = [versions.destination(one) for one in pods]
    c = settled_window.c
    sums = select(func.sum(c.requests), func.sum(c.control)).where(
        c.policy == policy.name, c.start_us >= now_us - _LOOK_US, c.superseded_us.is_(None)
    )
    requests, control = connection.execute(sums).one()
    return Sides(
        policy=policy.name,
        requests=int(requests or 0),
        from_senders=int(control or 0),
        primary_pods=sum(one in live for one in places),
        mirror_pods=sum(one in mirrors for one in places),
        has_mirror=bool(mirrors),
    )


def _marker(connection: Connection, policy: str, now_us: int) -> Finding:
    last = markers.last_change(connection, policy)
    if last is None:
        return judge.marker(policy, "", "")
    changed = ""
    if last.before and last.start_us >= now_us - _WEEK_US:
        changed = f"until {iso_time(last.start_us)} by {last.before}"
    return judge.marker(policy, str(Marker(last.after)), changed)
