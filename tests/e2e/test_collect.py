"""`collect --from` as its users run it: a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.test_verify import recorded, run

pytestmark = pytest.mark.integration


def test_files_without_a_policy_are_refused(tmp_path: Path) -> None:
    """Nothing would ever be read: that is told at once, and not waited for."""
    log = tmp_path / "pod.log"
    log.write_text("".join(f"{line}\n" for line in next(iter(recorded("percent30").values()))))

    status, _ = run(tmp_path, "collect", "--from", str(log))

    said = (tmp_path / "errors").read_text().splitlines()
    assert (status, said[-1]) == (2, "mirrorproof: no policy is recorded: give --policy FILE")
