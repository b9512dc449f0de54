"""Judges logs by `check` and through the live pipeline, which must say the same."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import select

from collector.db.engine import open_engine, reading, writing
from collector.db.policies import record_versions
from collector.service.app import build_from_files
from collector.settings import DatabaseSettings, Settings, VerifierSettings
from verifier.app import build
from verifier.check import report
from verifier.check.run import check
from verifier.policies.read import read_policies
from verifier.policies.stored import to_record
from verifier.settle.report import policy_names, totals
from verifier.tables import finding

FOLDER = Path(__file__).parents[1] / "data" / "facts"
SENDER = "frontend"

Logs = Mapping[str, Sequence[bytes]]
"""The lines of each log, by its name: a pod's, or any other for a shipper's stream."""
Told = tuple[str, str, str]
"""Verdict, reason and path of a finding."""


@dataclass
class Said:
    """What is said of one policy.

    Attributes:
        statement: proven, violated or not_proven.
        verdicts: Counts that are not zero.
        requests: How many, at least and at most.
        differs: Matched pairs whose status differs.
        findings: How many of each kind.
    """

    statement: str
    verdicts: dict[str, int]
    requests: tuple[int, int]
    differs: int
    findings: Counter[Told] = field(default_factory=Counter)

    @property
    def reasons(self) -> set[str]:
        """The reasons of all findings."""
        return {reason for _, reason, _ in self.findings}

    def paths(self, verdict: str) -> Counter[str]:
        """The paths of the findings of a verdict."""
        return Counter(
            {told[2]: count for told, count in self.findings.items() if told[0] == verdict}
        )


def scenarios() -> list[str]:
    """What the lab recorded."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def read(scenario: str, *, senders: bool = True) -> dict[str, list[bytes]]:
    """The logs of a scenario, by pod."""
    return {
        path.name.removesuffix(".log.gz"): gzip.decompress(path.read_bytes()).splitlines(True)
        for path in sorted((FOLDER / scenario).glob("*.log.gz"))
        if senders or not path.name.startswith(SENDER)
    }


def truth(scenario: str) -> dict[str, Any]:
    """What callers and applications counted."""
    packed = (FOLDER / scenario / "truth.json.gz").read_bytes()
    found: dict[str, Any] = json.loads(gzip.decompress(packed))
    return found


def policy_of(scenario: str) -> Path:
    """The policy that a scenario is judged by."""
    return FOLDER / scenario / "policy.yaml"


def write(logs: Logs, folder: Path) -> list[Path]:
    """Writes logs to files; returns them."""
    folder.mkdir(exist_ok=True)
    for name, lines in logs.items():
        (folder / f"{name}.log").write_bytes(b"".join(lines))
    return [folder / f"{name}.log" for name in logs]


def by_check(policy: Path, logs: Sequence[Path], **options: Any) -> dict[str, Said]:
    """What `check` says of each policy that it judges."""
    files = [str(log) for log in logs]
    with check(read_policies([policy]), files, limit=10_000, **options) as outcome:
        document = report.to_json(outcome, report.results(outcome))
    return {
        one["name"]: Said(
            one["statement"],
            {name: count for name, count in one["verdicts"].items() if count},
            (one["primary"]["requests"], one["primary"]["requests_high"]),
            one["divergence"]["status"],
            Counter((f["verdict"], f["reason"], f["path"]) for f in one["findings"]),
        )
        for one in document["policies"]
        if one["judged"]
    }


def by_settling(
    url: str, policy: Path, logs: Sequence[Path], window_s: int = 10
) -> dict[str, Said]:
    """What the live pipeline says: files to database to settled windows."""
    settings = Settings(
        database=DatabaseSettings.model_validate({"url": url}),
        verifier=VerifierSettings(window_s=window_s),
    )
    engine = open_engine(url)
    try:
        with writing(engine) as connection:
            record_versions(connection, [to_record(one) for one in read_policies([policy])], 0)
        stop = Event()
        build_from_files(settings, logs, stop).run(stop)
        build(settings, engine).settle_due()
        with reading(engine) as connection:
            return {name: _settled(connection, name) for name in policy_names(connection)}
    finally:
        engine.dispose()


def _settled(connection: Any, name: str) -> Said:
    found = totals(connection, name)
    rows = connection.execute(
        select(finding).where(finding.c.policy == name, finding.c.superseded_us.is_(None))
    )
    return Said(
        found.statement,
        {verdict: count for verdict, count in found.verdicts.items() if count},
        (found.requests, found.requests_high),
        found.status_differs,
        Counter((row.verdict, row.reason, row.path) for row in rows),
    )


def _without_paths(findings: Counter[Told]) -> Counter[Told]:
    found: Counter[Told] = Counter()
    for (verdict, reason, _), count in findings.items():
        found[verdict, reason, ""] += count
    return found


def judged(url: str, policy: Path, logs: Logs, folder: Path, *, same_paths: bool = True) -> Said:
    """What both say of the only policy with a mirror.

    Args:
        url: An empty database.
        policy: A file.
        logs: By names of files.
        folder: For these files.
        same_paths: Findings have to name the same paths, too: where a choice is arbitrary, or
            paths are redacted, they need not.

    Raises:
        AssertionError: They differ.
    """
    files = write(logs, folder / "logs")
    (checked,) = by_check(policy, files).values()
    settled = list(by_settling(url, policy, files).values())
    if not same_paths:
        for said in (checked, *settled):
            said.findings = _without_paths(said.findings)
    if settled or checked.verdicts:  # where nothing concerns a policy, nothing is settled
        assert settled == [checked]
    return checked
