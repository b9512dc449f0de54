"""The command line's answer to wrong usage."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from verifier.cli import main


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """The exit status of a command line."""
    monkeypatch.setattr("sys.argv", ["mirrorproof", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "--bogus"], "no such option: --bogus; see mirrorproof check --help"),
        (["explain"], "explain: give a request id, or --ids-from FILE"),
        (["chek"], "no such command 'chek'. Did you mean 'check'?; see mirrorproof --help"),
        (["policy", "lint"], "missing argument 'FILE…'; see mirrorproof policy lint --help"),
        (["collect", "--from"], "option '--from' requires an argument; see mirrorproof --help"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Wrong usage says what and where help is, on one line of standard error, with status 2."""
    assert run(monkeypatch, *arguments) == 2
    assert capsys.readouterr() == ("", f"mirrorproof: {said}\n")


def test_without_a_command_help_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a command, all commands are shown."""
    assert run(monkeypatch) == 2
    assert "check" in capsys.readouterr().out
