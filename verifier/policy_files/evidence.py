"""What the database shows of policies: mirrors that log nothing, marks that changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, select

from verifier.policies.model import Lint, Policy
from verifier.policies.node import one_line
from verifier.settle.cast import Cast, Directory
from verifier.settle.markers import changes
from verifier.sides import mirror_groups
from verifier.tables import pod_hour
from verifier.times import iso_time

LATELY_US: Final = 7 * 24 * 3_600_000_000
"""A change of marks is told of for a week."""


def evidence_lints(connection: Connection, policies: Sequence[Policy], now_us: int) -> list[Lint]:
    """What lines and verdicts say about policies.

    Args:
        connection: A reading transaction.
        policies: As read from files, or as recorded.
        now_us: The database's clock.
    """
    directory = Directory()
    directory.refresh(connection)
    serving = set(connection.scalars(select(pod_hour.c.pod_id).distinct()))
    found = [one for policy in policies for one in _silent(policy, directory, serving)]
    by_name = {policy.name: policy for policy in policies}
    for change in changes(connection, now_us - LATELY_US):
        policy = by_name.get(change.policy)
        if policy is not None:
            message = (
                f"copies are told by {change.after} since {iso_time(change.start_us)}, and were "
                f"by {change.before} before"
            )
            found.append(Lint("warning", policy.source, "marker-changed", one_line(message)))
    return found


def _silent(policy: Policy, directory: Directory, serving: set[int]) -> Iterable[Lint]:
    """Mirrors of which no pod ever logged a request, although others did."""
    if not serving:
        return
    pods = Cast(policy, directory).mirror_pods()
    for group, numbers in zip(mirror_groups(policy), pods, strict=True):
        if not serving & set(numbers):
            message = f"no pod of mirror {group.name} has ever logged a request"
            yield Lint("warning", policy.source, "mirror-silent", one_line(message))
