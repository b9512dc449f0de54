"""The command line, `mirrorproof`: every command in a file of its own, imported when it runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version as metadata_version
from typing import Annotated, Final

import typer
from typer.exceptions import TyperException

from collector.errors import MirrorproofError
from verifier.cli.printing import reflowed

app: Final = typer.Typer(
    name="mirrorproof",
    help="Proves, request by request, that mirrored traffic is really mirrored.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_COMMANDS: Final = (
    "check",
    "gate",
    "divergence",
    "explain",
    "incidents",
    "silence",
    "audit",
    "clocks",
    "quarantine",
    "alert",
    "policy",
    "format",
    "replay",
    "verify",
    "up",
    "serve",
    "key",
    "collect",
    "doctor",
    "maintain",
    "healthcheck",
    "demo",
)
_registered: Final[set[str]] = set()


@app.callback(invoke_without_command=True)
def _global(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"mirrorproof {metadata_version('mirrorproof')}")
        raise typer.Exit


def register_all() -> None:
    """Adds all commands to `app`, each once."""
    _register(_COMMANDS)


def _register(names: Sequence[str]) -> None:
    for name in names:
        if name not in _registered:
            import_module(f"verifier.cli.{name}").register(app)
            _registered.add(name)
    _reflow(app)


def _reflow(group: typer.Typer) -> None:
    """Has helps fill the terminal, whatever its width; they stand in the code as that is wide."""
    for command in group.registered_commands:
        command.help = reflowed(command.help or "")
    for one in group.registered_groups:
        if one.typer_instance is not None:
            _reflow(one.typer_instance)


def _say_wrong_usage(error: TyperException) -> None:
    """One line, as of every other error; without arguments, help was shown and nothing is wrong."""
    if message := error.format_message().strip().rstrip("."):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "mirrorproof"
        said = message[0].lower() + " ".join(message.split())[1:]
        sys.stderr.write(f"mirrorproof: {said}; see {command} --help\n")


def main() -> None:
    """Runs the command line and exits.

    Exit status: 0 done or proven, 1 violated, 2 wrong usage or unreadable input, 3 not proven.
    """
    # Building all commands would take a third of the time that a short one takes.
    asked = sys.argv[1:2]
    _register(asked if set(asked) & set(_COMMANDS) else _COMMANDS)
    # Temporary files go with the process; commands that run for long have a way of their own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(app(prog_name="mirrorproof", standalone_mode=False))
    except TyperException as error:
        _say_wrong_usage(error)
        sys.exit(2)
    except MirrorproofError as error:
        sys.stderr.write(f"mirrorproof: {error}\n")
        sys.exit(error.exit_status)
    except BrokenPipeError:
        # The reader went away (`mirrorproof … | head`); nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        sys.stderr.write(f"mirrorproof: cannot write: {error.strerror or error}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(2)
