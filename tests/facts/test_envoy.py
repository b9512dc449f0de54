"""What real Envoy proxies logged in each case, against what callers and applications counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.facts import both

pytestmark = pytest.mark.integration
SENDERS = {"with_senders": True, "without_senders": False}

SAMPLED = {"shared", "broken_nesting"}
"""Scenarios whose largest mirror, v1, is below 100 %."""

SPECIAL: dict[tuple[str, str], tuple[str, str]] = {
    # (scenario, kind of call): verdicts with and without the senders' logs; empty: none
    ("upgrades", "upgrade"): ("exempt", "exempt"),
    ("upgrades", "connect"): ("exempt", "exempt"),
    ("refusals", "denied"): ("matched", "matched"),  # by v1's proxy, before its application
    ("bypasses", "direct"): ("exempt", "unverifiable"),
    ("bypasses", "probe"): ("", ""),
    ("bypasses", "metrics"): ("", ""),
    ("routes", "report"): ("", ""),  # another route's
    ("routes", "else"): ("unverifiable", "unverifiable"),
    ("routes_named", "report"): ("", ""),
    ("routes_named", "else"): ("", "unverifiable"),
    ("no_ids", "without"): ("ambiguous", "ambiguous"),
    ("errors_only", "plain"): ("unverifiable", "unverifiable"),
    ("killed_v1", "unwritten"): ("missing", "missing"),  # who names a file vouches for it
    ("weighted", "*"): ("matched", "matched"),
    ("mirror_is_live", "*"): ("matched", "matched"),
}
FOUND = ("missing", "leak", "unverifiable", "ambiguous", "duplicate", "orphan")
"""Verdicts that have a finding for each request."""


def verdict(scenario: str, call: dict[str, Any], *, senders: bool, since_s: float) -> str:
    """What has to be said of a call; empty: nothing.

    Args:
        scenario: Its name.
        call: What became of the call.
        senders: Whether the senders' logs are given.
        since_s: When the mirror came into force.
    """
    for kind in (call["kind"], "*"):
        if (scenario, kind) in SPECIAL:
            return SPECIAL[scenario, kind][0 if senders else 1]
    if call["at"] < since_s:
        return "exempt"
    if call["by"] == "v1":
        return "leak"
    reached, copied = call.get("v2", 0), call.get("v1", 0)
    if not reached and not senders:
        return "unverifiable" if copied else ""
    if copied:
        return "matched"
    if scenario in SAMPLED:
        return "missing" if call.get("v3", 0) else "unsampled"
    return "missing" if reached else "exempt"


def expected(scenario: str, *, senders: bool) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """How many of each verdict there are, and the paths of those with findings."""
    truth = both.truth(scenario)
    counts: Counter[str] = Counter()
    paths: dict[str, Counter[str]] = {name: Counter() for name in FOUND}
    for call in truth["calls"]:
        since_s = truth["events"].get("mirrored", 0)
        said = verdict(scenario, call, senders=senders, since_s=since_s)
        counts[said] += call.get("v2", 1) if call["kind"] == "redirected" else 1
        if said in FOUND:
            paths[said][call["path"]] += 1
    del counts[""]
    return +counts, paths


@pytest.mark.parametrize("senders", SENDERS)
@pytest.mark.parametrize("scenario", both.scenarios())
def test_recorded_calls_get_their_verdicts(
    scenario: str, senders: str, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """Each call has the verdict that follows from what happened to it, by `check` and live."""
    logs = both.read(scenario, senders=SENDERS[senders])
    counts, paths = expected(scenario, senders=SENDERS[senders])

    said = both.judged(migrated_sqlite_url, both.policy_of(scenario), logs, tmp_path)

    assert {name: said.paths(name) for name in FOUND} == paths
    if scenario == "changes":  # the proxies' clock decides what is within the grace
        assert said.verdicts["matched"] + said.verdicts["exempt"] == (
            counts["matched"] + counts["exempt"]
        )
    else:
        assert said.verdicts == counts
