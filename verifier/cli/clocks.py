"""`mirrorproof clocks`: which pods' clocks are wrong."""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database

_HELP: Final = """Lists the pods whose clocks are wrong, the latest first.

By what their requests showed: so far ahead of most others (below zero: behind), which settling
corrects. And those whose times are too far from Kafka's, more than a minute ahead, or ten minutes
behind (or their shipper is): they move no time on, and what lacks around them is unverifiable.

Exit status: 0, 2 the database cannot be read.

[b]Examples[/b]

  mirrorproof clocks

  mirrorproof clocks --database-url postgresql://mirrorproof@db/mirrorproof --json
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("clocks", help=_HELP)(clocks_command)


def clocks_command(
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Lists them; see `_HELP`."""
    import msgspec

    from collector.db.engine import reading
    from verifier.check.screen import printable
    from verifier.settle.clock_report import clock_report

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        found = clock_report(connection)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found), ensure_ascii=False))
        return
    for one in found.skewed:
        typer.echo(
            f"{one.since}  {printable(one.pod)}  {one.ahead_ms:+d} ms by {one.requests} requests"
            f" of {printable(one.policy)}, corrected"
        )
    for wild in found.wild:
        typer.echo(
            f"{wild.first} to {wild.last}  {printable(wild.pod)}  {wild.ahead_ms / 1000:+.0f} s"
            f" from Kafka's time in {wild.lines} lines"
        )
    if not found.skewed and not found.wild:
        typer.echo("no clock is known to be wrong")
