"""`mirrorproof serve`: the query API."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from verifier.cli.collect import (
    ConfigOption,
    DatabaseOption,
    database_override,
    load_settings,
    stop_on_signals,
)
from verifier.cli.database import existing

_HELP: Final = """Shows the page and answers questions: what was settled, found and ingested.

Statements, windows, findings, requests, policies and ingestion as JSON under /api/v1, described at
/api/v1/openapi.json; probes at /healthz and /readyz. While there is no key (`mirrorproof key
create`) only this machine may ask; at an address that others can reach nobody may, and the API is
not ready until there is one.

Exit status: 0 ended by SIGTERM, 2 wrong usage or database.

[b]Examples[/b]

  mirrorproof serve

  mirrorproof serve --listen :8080 --database-url postgresql://mirrorproof@db/mirrorproof
"""
ListenOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where to answer; :PORT for all addresses."),
]


def serve(
    listen: ListenOption = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Serves; see `_HELP`."""
    from verifier.api.server import Server, make_services

    own: dict[str, object] = {"listen": listen}
    settings = load_settings(config, {"database": database_override(database_url), "api": own})
    stop = stop_on_signals()
    with existing(settings) as engine:
        server = Server(make_services(settings, engine))
        said = f"the page is at {server.url}, the query API at {server.url}/api/v1"
        typer.echo(said, err=True)
        server.run(stop)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("serve", help=_HELP)(serve)
