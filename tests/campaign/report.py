"""What a campaign says: a line while it runs, a table or one JSON object at its end."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.campaign.round import Result

_EVERY: Final = 20
"""Kills between two lines of progress, where no terminal shows it all the time."""


def say(text: str, end: str = "\n") -> None:
    """Prints at once; progress goes to standard error."""
    print(text, end=end, file=sys.stderr, flush=True)  # noqa: T201


@dataclass
class Progress:
    """Tells how far a round is."""

    kills: int
    name: str

    def __call__(self, result: Result, lines: int) -> None:
        """After each kill."""
        done = result.deaths.total()
        text = f"{self.name}: {done} of {self.kills} kills, {lines} lines"
        if sys.stderr.isatty():
            say(f"\r\x1b[K{text}", end="" if done < self.kills else "\n")
        elif done % _EVERY == 0 or done == self.kills:
            say(text)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the others lies; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def as_json(result: Result) -> dict[str, Any]:
    """One round as an object."""
    verdict, times = result.verdict, result.first_commits_s
    return {
        "database": result.database,
        "members": result.members,
        "kills": result.deaths.total(),
        "deaths": dict(sorted(result.deaths.items())),
        "lines": verdict.lines.total(),
        "kinds": {kind.name.lower(): number for kind, number in sorted(verdict.lines.items())},
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "foreign": verdict.foreign,
        "cover": verdict.cover,
        "counts": verdict.counts,
        "examples": verdict.examples,
        "first_commit_s": {
            "number": len(times),
            "min": round(min(times, default=0.0), 3),
            "median": round(statistics.median(times or [0.0]), 3),
            "p95": round(quantile(times, 0.95), 3),
            "max": round(max(times, default=0.0), 3),
        },
        "took_s": round(result.took_s, 1),
    }


def table(results: Sequence[Result]) -> str:
    """All rounds, for people."""
    head = (
        "| database | collectors | kills: in a transaction, before, after a commit | lines "
        "| lost | doubled | other faults | restart to first commit: min / median / p95 / max |"
    )
    rows = [head, "|---|---|---|---|---|---|---|---|"]
    for found in map(as_json, results):
        deaths, times = found["deaths"], found["first_commit_s"]
        parts = ", ".join(str(deaths.get(how, 0)) for how in ("open", "before", "after"))
        who = "1, static" if found["members"] == 1 else f"{found['members']}, group"
        others = found["foreign"] + found["cover"] + found["counts"]
        spread = " / ".join(f"{times[name]:.1f}" for name in ("min", "median", "p95", "max"))
        rows.append(
            f"| {found['database']} | {who} | {found['kills']}: {parts} | {found['lines']:,} "
            f"| {found['lost']} | {found['doubled']} | {others} | {spread} s |"
        )
    return "\n".join(rows)
