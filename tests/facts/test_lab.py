"""The lab still makes what its recordings show: one scenario, on real proxies, now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facts import both
from tests.lab.run import opened, save
from tests.lab.scenarios import SCENARIOS

pytestmark = pytest.mark.integration


def test_every_scenario_is_recorded() -> None:
    """`python -m tests.lab` was run after the last one was added."""
    assert both.scenarios() == sorted(SCENARIOS)


def test_a_scenario_recorded_now_is_judged_as_its_recording(tmp_path: Path) -> None:
    """Refusals of v1's proxy and application have arrived, all the same."""
    scenario, logs = SCENARIOS["refusals"], tmp_path / "logs"
    with opened(scenario.setup, logs) as run:
        scenario.drive(run)
        proxies = run.mesh.received()
    save(run, scenario.policy(run), proxies, logs, tmp_path / "recorded")

    (said,) = both.by_check(tmp_path / "recorded" / "policy.yaml", sorted(logs.iterdir())).values()

    calls = len(run.truth.calls)
    assert said.verdicts == {"matched": calls}
    assert sum(count for pod, count in proxies.items() if "-v1-" in pod) == calls
    assert said.differs == sum("plain" not in call.path for call in run.truth.calls.values())
