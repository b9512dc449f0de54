"""The built wheel works alone: installed in an empty environment, away from the repository."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel, and an environment that has nothing else of ours."""

    wheel: Path
    environment: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment, outside the repository."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COVERAGE"))}
        return subprocess.run(
            [self.environment / "bin" / program, *arguments],
            cwd=self.environment,
            env=clean,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Builds the wheel and installs it beside what it depends on, without any extra."""
    home = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home / "dist"))
    (wheel,) = (home / "dist").glob("*.whl")
    environment = home / "empty"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    pip = ("-m", "pip", "--quiet", "--python", str(python))
    _run(sys.executable, *pip, "install", "--no-index", "--no-deps", str(wheel))
    (site_packages,) = environment.glob("lib/python3.*/site-packages")
    (information,) = site_packages.glob("mirrorproof-*.dist-info")
    _link_dependencies(PathDistribution(information), site_packages)
    return Installed(wheel, environment)


def _run(*command: str) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def _link_dependencies(wheel: Distribution, site_packages: Path) -> None:
    """Gives the environment the packages that the wheel declares, and theirs, and no other.

    Links to the installed ones take the place of a download: what the wheel forgot to
    declare is missing all the same.
    """
    waiting = _required(wheel, frozenset())
    seen = set()
    while waiting:
        requirement = waiting.pop()
        if (requirement.name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((requirement.name, frozenset(requirement.extras)))
        found = distribution(requirement.name)
        assert requirement.specifier.contains(found.version, prereleases=True), requirement
        waiting += _required(found, frozenset(requirement.extras))
        for top in {path.parts[0] for path in found.files or () if path.parts[0] != ".."}:
            link = site_packages / top
            if not link.exists() and top != "__pycache__":
                link.symlink_to(Path(str(found.locate_file(top))))


def _required(package: Distribution, extras: frozenset[str]) -> list[Requirement]:
    requirements = [Requirement(text) for text in package.requires or ()]
    return [
        requirement
        for requirement in requirements
        if requirement.marker is None
        or any(requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""}))
    ]


def test_wheel_has_the_migrations(installed: Installed) -> None:
    """Every migration of the repository is in the wheel, and nothing of the tests."""
    names = zipfile.ZipFile(installed.wheel).namelist()
    shipped = {Path(name).name for name in names if "_migrations/versions/" in name}

    assert shipped == {path.name for path in (ROOT / "migrations" / "versions").glob("*.py")}
    assert "collector/_migrations/env.py" in names
    assert {name.split("/")[0] for name in names} == {
        "collector",
        "verifier",
        installed.wheel.name.split("-py3")[0] + ".dist-info",
    }


def test_environment_sees_nothing_of_the_repository(installed: Installed) -> None:
    """Our packages come from the wheel, and the tests cannot be imported."""
    found = installed.run(
        "python",
        "-c",
        "import importlib.util as u\n"
        "for name in ('collector', 'verifier'): print(u.find_spec(name).origin)\n"
        "print(u.find_spec('tests'), u.find_spec('migrations'))",
    )

    assert found.returncode == 0, found.stderr
    assert str(ROOT) not in found.stdout
    assert found.stdout.splitlines()[2] == "None None"


def test_program_explains_itself(installed: Installed) -> None:
    """The one console script runs with no extra installed."""
    result = installed.run("mirrorproof", "--help")

    assert result.returncode == 0, result.stderr
    assert "migrate" in result.stdout


def test_program_migrates_a_new_database(installed: Installed, tmp_path: Path) -> None:
    """The migrations inside the wheel make a database."""
    file = tmp_path / "new.db"

    result = installed.run("mirrorproof", "migrate", "--database-url", f"sqlite:///{file}")

    assert result.returncode == 0, result.stdout + result.stderr
    with sqlite3.connect(file) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "alembic_version" in tables
