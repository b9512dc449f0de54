"""Policies and their versions."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from collector.observation import Destination
from verifier.api.models import LintLine, PolicySummary, Version
from verifier.policies.model import Lint, Policy
from verifier.settle.versions import Recorded, recorded
from verifier.tables import settled_policy
from verifier.times import iso_time, time_or_none

NOT_SAID: Final = ("lints", "source")


def summaries(connection: Connection) -> list[PolicySummary]:
    """Every policy by its newest version, by name."""
    settled = {row[0]: row[1] for row in connection.execute(_SETTLED)}
    newest = {one.policy.name: one for one in recorded(connection)}
    return [_summary(one, settled.get(name)) for name, one in sorted(newest.items())]


_SETTLED: Final = select(settled_policy.c.policy, settled_policy.c.settled_to_us)


def _summary(one: Recorded, settled_to_us: int | None) -> PolicySummary:
    policy = one.policy
    return PolicySummary(
        name=policy.name,
        version=one.id,
        hosts=list(policy.hosts),
        live=[_share(to.destination, to.weight) for to in policy.live],
        mirrors=[_share(to.destination, to.percent) for to in policy.mirrors],
        in_force=one.valid_to_us is None,
        settled_to=time_or_none(settled_to_us),
    )


def _share(to: Destination, percent: float) -> str:
    subset = f" {to.subset}" if to.subset else ""
    return f"{to.host}{subset} {percent:g} %"


def versions(connection: Connection, name: str) -> list[Version]:
    """All versions of a policy, in the order in which they were recorded."""
    return [_version(one) for one in recorded(connection) if one.policy.name == name]


def _version(one: Recorded) -> Version:
    return Version(
        version=one.id,
        name=one.policy.name,
        valid_from=time_or_none(one.valid_from_us),
        valid_to=time_or_none(one.valid_to_us),
        recorded_at=iso_time(one.recorded_us),
        document=document_of(one.policy),
    )


def document_of(policy: Policy) -> dict[str, Any]:
    """A policy as JSON."""
    found = json.loads(msgspec.json.encode(policy))
    return {name: value for name, value in found.items() if name not in NOT_SAID}


def lint_of(one: Lint) -> LintLine:
    """One thing that looks wrong, as it is told."""
    return LintLine.model_validate(
        {"severity": one.severity, "where": one.where, "code": one.code, "message": one.message}
    )
