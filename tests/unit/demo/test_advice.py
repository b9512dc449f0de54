from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import typer

from verifier import cli
from verifier.demo import advice
from verifier.demo.advice import next_steps, program_name


def test_without_a_kept_folder_the_first_advice_is_to_keep_one() -> None:
    """The commands after it then work as they stand."""
    text = "\n".join(next_steps(None, None, "", "mirrorproof"))

    assert "mirrorproof demo --exit-after 60 --keep demo-kept" in text
    assert "mirrorproof check --policy demo-kept/policy.yaml demo-kept/logs/*.log" in text


def test_a_kept_folder_is_named_in_every_command() -> None:
    """With a request that was not mirrored, ready to be explained."""
    text = "\n".join(next_steps(Path("kept"), None, "8e1c", "mirrorproof"))

    assert "--keep" not in text
    assert "mirrorproof check --policy kept/policy.yaml kept/logs/*.log" in text
    assert "mirrorproof explain 8e1c --database-url sqlite:///kept/mirrorproof.db" in text


def test_every_command_that_is_advised_exists() -> None:
    """What is printed can be typed."""
    app = typer.Typer()
    for name in cli._COMMANDS:
        import_module(f"verifier.cli.{name}").register(app)
    known = {command.name for command in app.registered_commands}

    text = "\n".join(next_steps(None, None, "", "mirrorproof"))

    assert set(re.findall(r"mirrorproof ([a-z]+)", text)) <= known


def test_the_program_is_named_as_it_can_be_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On the path by its name, else by its place, else by its module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(advice.shutil, "which", lambda _: None)
    inside = str(tmp_path / ".venv" / "bin" / "mirrorproof")

    assert program_name(inside) == ".venv/bin/mirrorproof"
    assert program_name("/opt/bin/mirrorproof") == "/opt/bin/mirrorproof"
    assert program_name("/repo/verifier/__main__.py") == "python -m verifier"
    monkeypatch.setattr(advice.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert program_name(inside) == "mirrorproof"
