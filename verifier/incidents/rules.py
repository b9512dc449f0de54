"""How each kind is told: what the kind says, then the settings, then the policy's rules. Pure."""

from __future__ import annotations

import msgspec

from verifier.incidents.event import Kind, Severity
from verifier.incidents.kinds import POLICY_KINDS, SHIPPING_LOSS, SPECS, KindRule, KindSpec
from verifier.policies.model import IncidentRule, Policy


class TellRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say. Times in µs.

    Attributes:
        confirm_us: So long after it is settled a window counts: what late lines correct until
            then was never told.
        false_alarms_a_year: Of one kind of one policy.
        shipping_loss: Share of lines that may be lost in shipping.
        repeat_us: How often to tell that something is still there; 0: never.
        quarantine_share: Share of lines that may go to quarantine.
        stall_us: A partition that was not read on for so long stands still.
        collector_away_us: Without a sign of life for so long, no collector is alive.
        acknowledge_us: A version of a policy that a live collector did not acknowledge for so long
            is stuck.
        lag_us: Verdicts are late when event time is complete only up to so long ago.
    """

    confirm_us: int = 60_000_000
    false_alarms_a_year: float = 0.01
    shipping_loss: float = SHIPPING_LOSS
    repeat_us: int = 14_400_000_000
    quarantine_share: float = 0.01
    stall_us: int = 300_000_000
    collector_away_us: int = 60_000_000
    acknowledge_us: int = 120_000_000
    lag_us: int = 300_000_000


def policy_rules(told: TellRules, policy: Policy | None) -> dict[Kind, KindRule]:
    """The rules of a policy's kinds. None: the policy is no more, and nothing is enabled."""
    own = {one.kind: one for one in policy.rules.incidents} if policy else {}
    tolerance = policy.rules.tolerance if policy else 0.0
    found = {}
    for kind in POLICY_KINDS:
        said = own.get(kind.value, IncidentRule(kind.value, enabled=policy is not None))
        found[kind] = _rule(told, SPECS[kind], said, _threshold(told, kind, said, tolerance))
    return found


def pipeline_rule(told: TellRules, kind: Kind) -> KindRule:
    """The rule of one kind of the pipeline."""
    threshold = told.quarantine_share if kind is Kind.QUARANTINE else None
    return _rule(told, SPECS[kind], IncidentRule(kind.value), threshold)


def _threshold(told: TellRules, kind: Kind, said: IncidentRule, tolerance: float) -> float | None:
    usual = SPECS[kind].threshold
    if usual is None:
        return None
    if said.threshold is not None:
        return said.threshold
    if usual == SHIPPING_LOSS:
        usual = told.shipping_loss
    return min(0.99, usual + tolerance) if kind is Kind.MISSING else usual


def _rule(told: TellRules, spec: KindSpec, said: IncidentRule, threshold: float | None) -> KindRule:
    severity = spec.severity if said.severity is None else Severity(said.severity)
    critical = spec.critical_share if said.critical_share is None else said.critical_share
    return KindRule(
        spec=spec,
        severity=severity,
        critical_share=critical if said.severity is None or said.critical_share else None,
        threshold=threshold,
        for_us=spec.for_us if said.for_us is None else said.for_us,
        clear_us=spec.clear_us if said.clear_us is None else said.clear_us,
        repeat_us=told.repeat_us if said.repeat_us is None else said.repeat_us,
        alarms_a_year=told.false_alarms_a_year,
        enabled=said.enabled,
    )
