"""The README says what the code does: commands, settings, verdicts, statements."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer.main
from sqlalchemy import create_engine

from tests.api import services_of
from tests.docs import README, with_table
from verifier.api.app import create_app
from verifier.cli import app, register_all
from verifier.pairing.lines import Verdict
from verifier.pairing.statement import Statement


def rows(header: str) -> list[str]:
    """First cells of the table that has this header."""
    text = README.read_text()
    table = text[text.index(header) :].split("\n\n")[0]
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def test_settings_table_is_that_of_the_code() -> None:
    """Every setting is in the README with its default and meaning (`python -m tests.docs`)."""
    text = README.read_text()

    assert text == with_table(text)


def test_verdicts_are_those_of_the_code() -> None:
    """The README explains exactly the verdicts there are."""
    assert rows("| verdict | of | when |") == [verdict.value for verdict in Verdict]


def test_statements_are_those_of_the_code() -> None:
    """The README explains exactly the statements there are."""
    told = {row.replace(" ", "_") for row in rows("| statement |")}

    assert told == {statement.value for statement in Statement}


def test_commands_are_those_of_the_code() -> None:
    """The README lists exactly the commands there are."""
    register_all()
    group = typer.main.get_command(app)
    names = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        names |= {f"{name} {inner}" for inner in below} if below else {name}

    told = {row.strip("`").removeprefix("mirrorproof ") for row in rows("| command | does |")}

    assert told == names


@pytest.mark.parametrize(
    "name", ["check", "explain", "up", "collect", "verify", "migrate", "maintain", "demo"]
)
def test_options_in_the_readme_exist(name: str) -> None:
    """Every option that the README shows with a command is one of it."""
    shown = re.findall(rf"mirrorproof {name}\b([^\n`]*)", README.read_text())
    used = {option for line in shown for option in re.findall(r"--[a-z-]+", line)}

    done = subprocess.run(
        [sys.executable, "-m", "verifier", name, "--help"],
        capture_output=True, text=True, check=True, timeout=60, env={"COLUMNS": "200", "PATH": ""},
    )  # fmt: skip

    assert {option for option in used if option not in done.stdout} == set()


def test_routes_are_those_of_the_code() -> None:
    """The README lists exactly the routes of the API, and what each needs."""
    engine = create_engine("sqlite://")
    paths = create_app(services_of(engine, 0)).openapi()["paths"]
    engine.dispose()
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    assert {row.strip("`") for row in rows("| route | does | scope |")} == routes
