"""What `check` prints: one JSON object (a contract, DESIGN section 7), or lines for people."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import msgspec

from collector.envelopes.unwrap import unwrap
from collector.records import AccessLog
from verifier.check.pieces import may_be_whole, whole_line
from verifier.check.reduce import lines_of
from verifier.check.run import Outcome
from verifier.check.sources import read_chunk
from verifier.pairing.lines import Finding, Verdict
from verifier.pairing.percentage import Percentage, judge_percentage
from verifier.pairing.statement import Ruling, Statement, rule, worst
from verifier.pairing.tally import Tally, finding_order
from verifier.policies.model import Policy
from verifier.sides import mirror_groups
from verifier.statistics.divergence import Endpoint, endpoint_json
from verifier.times import iso_time

MAX_EVIDENCE: Final = 20
NO_MIRROR: Final = Ruling(Statement.NOT_PROVEN, "the route has no mirror")


class PolicyResult(msgspec.Struct, frozen=True):
    """One policy's part of the outcome. `judged` is False for a route without a mirror."""

    policy: Policy
    tally: Tally
    endpoints: list[Endpoint]
    percentage: Percentage
    ruling: Ruling
    judged: bool


def results(outcome: Outcome) -> list[PolicyResult]:
    """Rules on every policy; those without a mirror are listed only, unless there is no other."""
    mirrored = any(policy.mirrors for policy in outcome.policies)
    return [
        _result(policy, tally, endpoints, judged=bool(policy.mirrors) or not mirrored)
        for policy, tally, endpoints in zip(
            outcome.policies, outcome.tallies, outcome.endpoints, strict=True
        )
    ]


def _result(
    policy: Policy, tally: Tally, endpoints: list[Endpoint], *, judged: bool
) -> PolicyResult:
    copied = tally.counts.get(Verdict.MATCHED, 0) - tally.untested
    owed = copied + tally.counts.get(Verdict.MISSING, 0) + tally.counts.get(Verdict.UNSAMPLED, 0)
    declared = max((mirror.percent for mirror in policy.mirrors), default=0.0)
    percentage = judge_percentage(copied, owed, declared)
    if not policy.mirrors:
        return PolicyResult(policy, tally, endpoints, percentage, NO_MIRROR, judged)
    ruling = rule(tally, percentage, policy.rules.tolerance)
    return PolicyResult(policy, tally, endpoints, percentage, ruling, judged)


def overall(found: list[PolicyResult]) -> Statement:
    """The worst statement of the judged policies."""
    return worst(result.ruling.statement for result in found if result.judged)


class Evidence:
    """Reads the lines again on which findings rest.

    Args:
        outcome: The run; its context must still be open.
    """

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._logs: dict[tuple[int, int], list[AccessLog]] = {}

    def load(self, findings: list[Finding]) -> None:
        """Reads the lines of these findings, each chunk once."""
        wanted: dict[int, set[int]] = defaultdict(set)
        for finding in findings:
            for line in lines_of(finding)[:MAX_EVIDENCE]:
                chunk, number = line.where
                wanted[chunk].add(number)
        for chunk, numbers in wanted.items():
            part = self._outcome.chunks[chunk]
            lines = read_chunk(self._outcome.sources[part.source], part)
            for number in numbers:
                self._logs[chunk, number] = self._read(lines, number)

    def _read(self, lines: list[bytes], number: int) -> list[AccessLog]:
        """The access logs that a line of a chunk holds, or ends."""
        found = [one.text for one in unwrap(lines[number]) if may_be_whole(one)]
        logs = [self._outcome.read_line(text) for text in found]
        read = [log for log in logs if isinstance(log, AccessLog)]
        if not read and (whole := whole_line(lines, number, self._outcome.read_line)):
            log = self._outcome.read_line(whole.text)
            read = [log] if isinstance(log, AccessLog) else []
        return read

    def log(self, where: tuple[int, int], line_start_us: int) -> AccessLog | None:
        """The fields of a loaded line."""
        logs = self._logs.get(where, [])
        return next((log for log in logs if log.start_us == line_start_us), None)

    def place(self, where: tuple[int, int]) -> tuple[str, int]:
        """File and line number, from 1."""
        chunk, number = where
        source = self._outcome.sources[self._outcome.chunks[chunk].source]
        return source.name, self._outcome.first_lines[chunk] + number


def finding_json(
    outcome: Outcome, policy: Policy, finding: Finding, evidence: Evidence
) -> dict[str, Any]:
    """One finding as the contract has it."""
    lines = lines_of(finding)[:MAX_EVIDENCE]
    log = evidence.log(lines[0].where, lines[0].start_us)
    return {
        "verdict": finding.verdict.value,
        "request_id": log.request_id if log else "",
        "method": log.method if log else "",
        "path": log.path if log else "",
        "started_at": iso_time(finding.start_us),
        "reason": reason_text(policy, finding),
        "count": finding.count,
        "evidence": [
            {"pod": outcome.pods[line.pod].pod, "file": place[0], "line": place[1]}
            for line in lines
            for place in [evidence.place(line.where)]
        ],
    }


def reason_text(policy: Policy, finding: Finding) -> str:
    """A finding's reason, with the mirror's name."""
    groups = mirror_groups(policy)
    mirror = groups[finding.mirror].name if finding.mirror < len(groups) else "the mirror"
    return finding.reason.value.format(mirror=mirror)


def to_json(outcome: Outcome, found: list[PolicyResult]) -> dict[str, Any]:
    """The whole outcome as the contract has it."""
    evidence = Evidence(outcome)
    for result in found:
        evidence.load(result.tally.findings)
    return {
        "statement": overall(found).value,
        "policies": [_policy_json(outcome, result, evidence) for result in found],
        "lines": msgspec.to_builtins(outcome.lines),
    }


def _policy_json(outcome: Outcome, result: PolicyResult, evidence: Evidence) -> dict[str, Any]:
    tally = result.tally
    findings = sorted(tally.findings, key=finding_order) if result.judged else []
    return {
        "name": result.policy.name,
        "statement": result.ruling.statement.value,
        "reason": result.ruling.reason,
        "judged": result.judged,
        "primary": {"requests": tally.requests, "requests_high": tally.requests_high},
        "verdicts": {verdict.value: tally.counts.get(verdict, 0) for verdict in Verdict},
        "percentage": msgspec.to_builtins(result.percentage),
        "divergence": {
            "status": tally.status_differs,
            "pairs": tally.paired,
            "diverges": any(endpoint.diverges for endpoint in result.endpoints),
            "endpoints": [endpoint_json(endpoint) for endpoint in result.endpoints],
        },
        "findings": [finding_json(outcome, result.policy, f, evidence) for f in findings],
    }


def refused_lines(outcome: Outcome) -> list[str]:
    """The first lines that could not be read, for standard error."""
    return [
        f"{Path(outcome.sources[source].name)}:{number}: quarantined: {reason}"
        for source, number, reason in outcome.refused
    ]
