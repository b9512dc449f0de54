"""The README says what the code does: commands, settings, verdicts, statements."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

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


_SHOWN = re.compile(
    r"(?<!-n )(?<!namespace )(?<!tag )(?<!install )(?<!template )\bmirrorproof ([a-z][^\n`|>;]*)"
)
"""A command with what follows it; not the name of a namespace, an image or a release."""


@pytest.mark.parametrize("file", [README, README.parent / "deploy" / "README.md"])
def test_commands_that_are_shown_exist(file: Path) -> None:
    """Each with its options, in code between backquotes and in blocks, as the program has them."""
    text = file.read_text()
    blocks = re.findall(r"^ *```\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    shown = [words for code in (*blocks, *spans) for words in _SHOWN.findall(code)]

    assert len(shown) > 10
    assert [wrong for words in shown for wrong in _unknown(words.split())] == []


@cache
def _program() -> Any:
    """The command line as a whole, which takes a fifth of a second to put together."""
    register_all()
    return typer.main.get_command(app)


def _unknown(words: list[str]) -> list[str]:
    """What the program has not of a command line: the command, or options."""
    command = _program()
    called = list(words)
    while called and hasattr(command, "commands"):
        if (name := called.pop(0)) not in command.commands:
            return [" ".join(words)]
        command = command.commands[name]
    known = {
        "--help",
        *(name for one in command.params for name in (*one.opts, *one.secondary_opts)),
    }
    given = [word.partition("=")[0] for word in called if word.startswith("-") and len(word) > 1]
    return [f"{' '.join(words)}: {option}" for option in given if option not in known]


def test_wrong_commands_are_found() -> None:
    """One that is not there, and an option of another."""
    assert _unknown(["chek", "x.log"]) == ["chek x.log"]
    assert _unknown(["alert", "test", "pager", "--policy", "x"]) == [
        "alert test pager --policy x: --policy"
    ]


def test_routes_are_those_of_the_code() -> None:
    """The README lists exactly the routes of the API, and what each needs."""
    engine = create_engine("sqlite://")
    paths = create_app(services_of(engine, 0)).openapi()["paths"]
    engine.dispose()
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    assert {row.strip("`") for row in rows("| route | does | scope |")} == routes
