"""What real Envoy proxies logged in each case, shipped badly: nothing false is said of it.

`python -m tests.shipping` ships recordings of thousands of requests badly; these are small, and
have everything that proxies do.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.facts import both
from verifier.check.run import check
from verifier.pairing.tally import Tally
from verifier.policies.read import read_policies

pytestmark = pytest.mark.integration
FAST = {"changes", "outage_v2", "retries_numbered", "shared", "upgrades"}
SCENARIOS = [
    pytest.param(one, marks=() if one in FAST else pytest.mark.slow) for one in both.scenarios()
]
LOST = 0.1
CERTAIN = ("matched", "missing", "leak")
"""Verdicts that nothing but what happened may bring."""


def judged(scenario: str, logs: both.Logs, folder: Path) -> Tally:
    """What `check` makes of logs; how much the control group lost is in no answer of it."""
    files = [str(log) for log in both.write(logs, folder)]
    with check(read_policies([both.policy_of(scenario)]), files, limit=10_000) as outcome:
        (found,) = (
            tally
            for policy, tally in zip(outcome.policies, outcome.tallies, strict=True)
            if policy.mirrors
        )
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_lines_that_come_twice_and_in_any_order_change_nothing(
    scenario: str, tmp_path: Path
) -> None:
    """A third of the lines comes again, all of them in any order."""
    chance, logs = random.Random(scenario), both.read(scenario)
    again = {pod: [one for one in lines if chance.random() < 1 / 3] for pod, lines in logs.items()}
    shipped = {pod: [*lines, *again[pod]] for pod, lines in logs.items()}
    for lines in shipped.values():
        chance.shuffle(lines)

    good, bad = (
        judged(scenario, sent, tmp_path / name)
        for name, sent in (("good", logs), ("shipped", shipped))
    )

    assert +Counter(bad.counts) == +Counter(good.counts)
    assert (bad.requests, bad.requests_high) == (good.requests, good.requests_high)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_lost_lines_make_nothing_missing_matched_or_leaked(scenario: str, tmp_path: Path) -> None:
    """Where the control group shows that a tenth of the lines is lost."""
    logs, shown = both.read(scenario), 0
    good = judged(scenario, logs, tmp_path / "good")
    for seed in range(3):
        chance = random.Random(seed)
        left = {
            pod: [line for line in lines if chance.random() >= LOST] for pod, lines in logs.items()
        }
        found = judged(scenario, left, tmp_path / str(seed))
        if found.control_lost:
            shown += 1
            for verdict in CERTAIN:
                assert found.counts.get(verdict, 0) <= good.counts.get(verdict, 0), verdict

    # Few requests may lose nothing; a mirror that is the primary itself has no control group.
    assert shown or good.control < 30
