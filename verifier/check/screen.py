"""The outcome of `check` for people: what was found, in a screenful."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from verifier.check.report import Evidence, PolicyResult, overall, reason_text
from verifier.check.run import Outcome
from verifier.pairing.lines import Finding, Verdict
from verifier.pairing.statement import Statement
from verifier.pairing.tally import finding_order
from verifier.statistics.divergence import described
from verifier.times import iso_time

STYLES: Final = {
    Statement.PROVEN: "bold green",
    Statement.NOT_PROVEN: "bold yellow",
    Statement.VIOLATED: "bold red",
}
_ON_SCREEN: Final = 10


def words(statement: Statement) -> str:
    """A statement as people write it."""
    return statement.value.replace("_", " ")


def printable(text: str) -> str:
    """Text of a log line without the control characters that would drive a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def show(console: Console, outcome: Outcome, found: list[PolicyResult], limit: int) -> None:
    """Prints the outcome."""
    for result in found:
        if result.judged:
            _show_policy(console, outcome, result, min(limit, _ON_SCREEN))
        else:
            console.print(f"{escape(result.policy.name)}: not judged, {result.ruling.reason}")
    lines = outcome.lines
    console.print(
        f"{lines.read} lines: {lines.observations} observations, {lines.repeated} repeated, "
        f"{lines.ignored} ignored, {lines.quarantined} quarantined",
        highlight=False,
    )
    statement = overall(found)
    console.print(Text(words(statement).upper(), style=STYLES[statement]))


def _show_policy(console: Console, outcome: Outcome, result: PolicyResult, limit: int) -> None:
    tally, ruling = result.tally, result.ruling
    console.print(
        Text.assemble(
            (printable(result.policy.name), "bold"),
            "  ",
            (words(ruling.statement), STYLES[ruling.statement]),
            f": {ruling.reason}",
        )
    )
    requests = f"{tally.requests}"
    if tally.requests_high > tally.requests:
        requests += f" to {tally.requests_high}"
    rows = [("requests", requests)]
    rows += [(v.value, str(count)) for v in Verdict if (count := tally.counts.get(v, 0))]
    share = result.percentage
    if share.observed is not None:
        rows.append(
            (
                "copied",
                f"{share.observed:.2f} % of a declared {share.declared:g} %"
                f" (95 % interval {share.low:.2f} to {share.high:.2f} %)",
            )
        )
    if tally.status_differs:
        rows.append(("status differs", f"{tally.status_differs} of {tally.paired} pairs"))
    rows += [("diverges", printable(text)) for text in described(result.endpoints)[:limit]]
    for name, value in rows:
        console.print(f"  {name:14}  {value}", highlight=False, soft_wrap=True)
    findings = sorted(tally.findings, key=finding_order)
    evidence = Evidence(outcome)
    evidence.load(findings[:limit])
    for finding in findings[:limit]:
        _show_finding(console, result, finding, evidence)
    rest = sum(tally.counts.get(v, 0) for v in _FOUND) - sum(f.count for f in findings[:limit])
    if rest > 0:
        console.print(f"  … and {rest} more: --json --limit {rest + limit} lists them all")


_FOUND: Final = (
    Verdict.MISSING,
    Verdict.UNVERIFIABLE,
    Verdict.DUPLICATE,
    Verdict.LEAK,
    Verdict.ORPHAN,
    Verdict.AMBIGUOUS,
)


def _show_finding(
    console: Console, result: PolicyResult, finding: Finding, evidence: Evidence
) -> None:
    line = finding.lines[0]
    log = evidence.log(line.where, line.start_us)
    file, number = evidence.place(line.where)
    request = printable(f"{log.request_id} {log.method} {log.path}") if log else ""
    console.print(
        Text.assemble(
            f"  {iso_time(finding.start_us)}  ",
            (finding.verdict.value, "bold"),
            f"  {request}\n      {reason_text(result.policy, finding)}  ({file}:{number})",
        ),
        soft_wrap=True,
    )
