"""Policy files that change while a process runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from collector.db.engine import reading
from collector.db.tables import policy_version
from collector.service.health import Health
from collector.service.health_server import answer
from tests.clocks import HandClock
from tests.settling import written
from verifier.policy_files.declared import troubles
from verifier.policy_files.watched import PolicyFiles

pytestmark = pytest.mark.integration


def policy(name: str, percent: int = 100) -> str:
    """A policy in the short form."""
    mirrors = f"[{{subset: v1, percent: {percent}}}]"
    return f"- {{name: w/{name}, host: {name}.w, primary: v2, mirrors: {mirrors}}}\n"


def write(folder: Path, *policies: str) -> None:
    """One file of policies."""
    (folder / "policies.yaml").write_text("policies:\n" + "".join(policies))


def versions(engine: Engine) -> list[tuple[str, float, bool]]:
    """Name, percentage, and whether it is in force, of all versions."""
    return [
        (row["name"], json.loads(row["document"])["mirrors"][0].get("percent", 100.0),
         row["valid_to_us"] is None)
        for row in written(engine, policy_version)
    ]  # fmt: skip


def looks(files: PolicyFiles, times: int = 2) -> None:
    """So many looks."""
    for _ in range(times):
        files.look()


def test_changes_are_recorded_once_they_rest(engine: Engine, tmp_path: Path) -> None:
    """New policies, changed ones, and those that are taken out; not at the first sight."""
    write(tmp_path, policy("a"))
    files = PolicyFiles(engine, [tmp_path], HandClock())
    looks(files, 1)
    assert versions(engine) == []
    looks(files, 3)
    assert versions(engine) == [("w/a", 100, True)]

    write(tmp_path, policy("a", 50), policy("b"))
    looks(files)
    (tmp_path / "policies.yaml").unlink()
    (tmp_path / "other.yaml").write_text("policies:\n" + policy("b"))
    looks(files)

    assert versions(engine) == [("w/a", 100, False), ("w/a", 50, False), ("w/b", 100, True)]


def test_a_policy_that_went_while_nobody_looked_ends(engine: Engine, tmp_path: Path) -> None:
    """What the files declared last is kept; what other files declare, too, goes on."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    write(tmp_path / "one", policy("a"), policy("b"), policy("c"))
    write(tmp_path / "two", policy("c"))
    looks(PolicyFiles(engine, [tmp_path / "two"], HandClock()))
    looks(PolicyFiles(engine, [tmp_path / "one"], HandClock()))
    write(tmp_path / "one", policy("a"))

    looks(PolicyFiles(engine, [tmp_path / "one"], HandClock()))

    assert sorted(versions(engine)) == [
        ("w/a", 100, True), ("w/b", 100, False), ("w/c", 100, True)
    ]  # fmt: skip


@pytest.mark.parametrize("broken", ["policies: [{host: }]", "{", None])
def test_broken_files_change_nothing_and_are_seen(
    engine: Engine, tmp_path: Path, broken: str | None
) -> None:
    """The versions before hold; the health and every other process tell of it, until it is over."""
    clock = HandClock()
    health = Health(clock, hang_s=60)
    health.mend("starting")
    write(tmp_path, policy("a"))
    files = PolicyFiles(engine, [tmp_path], clock, lambda words: health.warn("policy_files", words))
    looks(files)
    if broken is None:
        (tmp_path / "policies.yaml").unlink()
    else:
        (tmp_path / "policies.yaml").write_text(broken)
    looks(files, 3)

    assert versions(engine) == [("w/a", 100, True)]
    status, body = answer(health, "/readyz")
    assert (int(status), body["status"]) == (200, "ok")
    with reading(engine) as connection:
        assert [str(tmp_path) in line for line in troubles(connection)] == [True]
        assert body["warnings"] == {"policy_files": troubles(connection)[0]}

    write(tmp_path, policy("a", 50))
    looks(files)
    assert versions(engine)[-1] == ("w/a", 50, True)
    assert answer(health, "/readyz")[1] == {"status": "ok"}
    with reading(engine) as connection:
        assert troubles(connection) == []
