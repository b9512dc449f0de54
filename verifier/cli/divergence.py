"""`mirrorproof divergence`: how the answers of mirror and primary differ, by endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database

if TYPE_CHECKING:
    from verifier.statistics.divergence import Endpoint

_app: Final = typer.Typer(
    no_args_is_help=True, help="How the answers of mirror and primary differ, by endpoint."
)
_SHOW_HELP: Final = """Shows how the answers of mirror and primary differ, by endpoint.

Of a sample of matched pairs the class of the status, the latency and the size are compared. What
varies on both sides alike, among the primary's own pods, or in an accepted period, is noise. Whole
hours count; they are kept for two weeks.

[b]Examples[/b]

  mirrorproof divergence show weather/forecast-route

  mirrorproof divergence show weather/forecast-route --since 7d --json
"""
_ACCEPT_HELP: Final = """Accepts a period: what differs in it is expected from now on.

A mirror without the writes of before may answer 409, or be a little slower; once you looked at it
and found it right, only what goes beyond it diverges. A later period takes an earlier one's place.

[b]Examples[/b]

  mirrorproof divergence accept weather/forecast-route --since 24h

  mirrorproof divergence accept weather/forecast-route --forget
"""
_Policy = Annotated[str, typer.Argument(help="Name of the policy, NAMESPACE/NAME.")]
_Since = Annotated[str, typer.Option(metavar="24h|TIME", help="How far back, or from when.")]
_Until = Annotated[
    str, typer.Option(metavar="1h|TIME", help="Up to how long ago, or when; default: now.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    _app.command("show", help=_SHOW_HELP)(show_command)
    _app.command("accept", help=_ACCEPT_HELP)(accept_command)
    app.add_typer(_app, name="divergence")


def show_command(
    policy: _Policy,
    since: _Since = "24h",
    until: _Until = "0s",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Shows; see `_SHOW_HELP`."""
    from collector.db.engine import reading
    from verifier.settle.endpoints import accepted_period, endpoints
    from verifier.settle.lease import database_now_us
    from verifier.statistics.divergence import endpoint_json
    from verifier.times import iso_time, read_moment

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        _require(connection, policy)
        now_us = database_now_us(connection)
        since_us = read_moment("--since", since, now_us)
        until_us = read_moment("--until", until, now_us)
        found = endpoints(connection, policy, since_us, until_us)
        accepted = accepted_period(connection, policy)
    if as_json:
        period = accepted and [iso_time(time_us) for time_us in accepted]
        document = {
            "policy": policy,
            "since": iso_time(since_us),
            "until": iso_time(until_us),
            "accepted": period,
            "diverges": any(one.diverges for one in found),
            "endpoints": [endpoint_json(one) for one in found],
        }
        typer.echo(json.dumps(document))
    else:
        _show(found)


def accept_command(
    policy: _Policy,
    since: _Since = "24h",
    until: _Until = "0s",
    forget: Annotated[bool, typer.Option("--forget", help="Accept nothing any more.")] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Accepts; see `_ACCEPT_HELP`."""
    from collector.db.engine import writing
    from collector.errors import UsageError
    from verifier.settle import endpoints
    from verifier.settle.lease import database_now_us
    from verifier.times import read_moment

    with existing_database(database_url, config) as engine, writing(engine) as connection:
        _require(connection, policy)
        if forget:
            endpoints.forget(connection, policy)
            typer.echo(f"{policy}: nothing is accepted any more")
            return
        now_us = database_now_us(connection)
        since_us = read_moment("--since", since, now_us)
        until_us = read_moment("--until", until, now_us)
        pairs = endpoints.accept(connection, policy, since_us, until_us, now_us)
        if not pairs:
            msg = f"{policy}: no answers were compared in that period; name another by --since"
            raise UsageError(msg)
    typer.echo(f"{policy}: accepted, as {pairs} pairs show it")


def _require(connection: object, policy: str) -> None:
    """Refuses a policy that was never settled."""
    from sqlalchemy import Connection

    from collector.errors import UsageError
    from verifier.settle.report import policy_names

    assert isinstance(connection, Connection)
    names = policy_names(connection)
    if policy not in names:
        msg = f"no policy {policy!r} was ever settled; there are: {', '.join(names) or 'none yet'}"
        raise UsageError(msg)


def _show(found: list[Endpoint]) -> None:
    """For people."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from verifier.statistics.divergence import described

    table = Table(
        "endpoint", "pairs", "status differs", "latency ms v2, v1", "bytes v2, v1", box=None
    )
    for one in found:
        cells = [
            " ".join(f"{side[measure][0]}/{side[measure][2]}" if measure in side else "–"
                     for side in (one.primary, one.mirror))
            for measure in ("latency", "size")
        ]  # fmt: skip
        table.add_row(escape(one.endpoint), str(one.pairs), str(one.differs), *cells)
    console = Console()
    console.print(table)
    console.print("median/99 % of each; diverging:", *(described(found) or ["nothing"]), sep="\n  ",
                  markup=False, highlight=False, soft_wrap=True)  # fmt: skip
