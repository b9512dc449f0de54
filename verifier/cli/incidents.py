"""`mirrorproof incidents`: what drifts and drifted, and what is known of it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from collector.errors import UsageError
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database
from verifier.cli.printing import printable

if TYPE_CHECKING:
    from verifier.incidents.event import Kind

_HELP: Final = "Shows incidents: open drifts, what was told of them, and why they may be."
_LIST_HELP: Final = """Lists incidents, the newest first; open ones only unless --all.

Exit status: 0 none is open, 1 some are (of those asked for), 2 wrong usage or database.

[b]Examples[/b]

  mirrorproof incidents list

  mirrorproof incidents list --all --policy weather/forecast --kind missing --json
"""
_SHOW_HELP: Final = """Shows one incident: counts, times, likely cause, what to look at, examples.

[b]Example[/b]

  mirrorproof incidents show 17
"""
_COLOURS: Final = {"critical": "red", "warning": "yellow", "info": "cyan"}

PolicyOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of this policy only; `pipeline`: of the pipeline itself."),
]
KindOption = Annotated[str | None, typer.Option(metavar="KIND", help="Of this kind only.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object an incident, a line.")]


def read_policy(name: str | None) -> str | None:
    """A policy as the database has it: the pipeline's name is empty."""
    return "" if name == "pipeline" else name


def read_kind(name: str | None) -> Kind | None:
    """A kind by its name. Raises UsageError: there is none."""
    from verifier.incidents.event import Kind

    if name is None:
        return None
    try:
        return Kind(name)
    except ValueError:
        msg = f"--kind must be one of {', '.join(Kind)}; is {name!r}"
        raise UsageError(msg) from None


def coloured(text: str, severity: str) -> str:
    """Text in the colour of a severity, on a terminal; printable anywhere."""
    safe = printable(text)
    return typer.style(safe, fg=_COLOURS.get(severity)) if sys.stdout.isatty() else safe


def list_command(
    policy: PolicyOption = None,
    kind: KindOption = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Resolved ones, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    as_json: JsonOption = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Runs the command."""
    from collector.db.engine import reading
    from verifier.incidents import show, store

    asked = {"policy": read_policy(policy), "kind": read_kind(kind), "limit": limit}
    with existing_database(database_url, config) as engine, reading(engine) as connection:
        rows = store.incidents(connection, only_open=not all_of_them, **asked)  # type: ignore[arg-type]
    for row in rows:
        if as_json:
            _print_json(show.incident_json(row))
        else:
            typer.echo(coloured(show.incident_line(row), _severity(row)))
    if not rows and not as_json:
        typer.echo("no incident" if all_of_them else "no open incident")
    if any(row.resolved_us is None for row in rows):
        raise typer.Exit(1)


def show_command(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="As `incidents list` says.")],
    as_json: JsonOption = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Runs the command."""
    from collector.db.engine import reading
    from verifier.incidents import show, store

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        row = store.incident_row(connection, number)
    if row is None:
        msg = f"there is no incident {number}; see `mirrorproof incidents list --all`"
        raise UsageError(msg)
    if as_json:
        _print_json(show.incident_json(row))
        return
    first, *rest = show.incident_lines(row)
    typer.echo(coloured(first, _severity(row)))
    for line in rest:
        typer.echo(printable(line))


def _severity(row: Any) -> str:
    return "" if row.resolved_us is not None else str(row.severity)


def _print_json(found: dict[str, Any]) -> None:
    typer.echo(json.dumps(found, ensure_ascii=False))


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    group.command("list", help=_LIST_HELP)(list_command)
    group.command("show", help=_SHOW_HELP)(show_command)
    app.add_typer(group, name="incidents")
