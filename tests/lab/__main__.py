"""Records scenarios: `python -m tests.lab [NAME…]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.lab.run import opened, save
from tests.lab.scenarios import SCENARIOS

DATA = Path(__file__).parents[1] / "data" / "facts"


def main(names: list[str]) -> None:
    """Records the scenarios of these names, or all."""
    for name in names or list(SCENARIOS):
        scenario = SCENARIOS[name]
        with tempfile.TemporaryDirectory() as temporary:
            logs = Path(temporary)
            with opened(scenario.setup, logs) as run:
                scenario.drive(run)
                proxies = run.mesh.received()
            save(run, scenario.policy(run), proxies, logs, DATA / name)
        print(f"{name}: {len(run.truth.calls)} calls")  # noqa: T201 - a program for people


if __name__ == "__main__":
    main(sys.argv[1:])
