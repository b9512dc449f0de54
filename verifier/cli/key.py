"""`mirrorproof key`: who may ask the query API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from verifier.api.scopes import Scope
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database

if TYPE_CHECKING:
    from verifier.api.keys import Key

_HELP: Final = "Makes, lists and revokes the keys of the query API."
_CREATE_HELP: Final = """Makes a key, and shows it this once: only its digest is stored.

Scopes: read (statements, windows, incidents, findings without their lines), raw (also lines), admin
(all, and changes). The first key shuts the API for everybody who has none.

Exit status: 0 done, 2 wrong usage or database.

[b]Examples[/b]

  mirrorproof key create grafana

  mirrorproof key create auditor --scope raw --expires 90d
"""
_LIST_HELP: Final = """Shows all keys by their public beginnings.

[b]Example[/b]

  mirrorproof key list --json
"""
_REVOKE_HELP: Final = """Ends a key at once.

[b]Example[/b]

  mirrorproof key revoke mp_0123456789ab
"""
JsonOption = Annotated[bool, typer.Option("--json", help="JSON.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    key = typer.Typer(help=_HELP, no_args_is_help=True)
    key.command("create", help=_CREATE_HELP)(create_command)
    key.command("list", help=_LIST_HELP)(list_command)
    key.command("revoke", help=_REVOKE_HELP)(revoke_command)
    app.add_typer(key, name="key")


def create_command(
    name: Annotated[str, typer.Argument(help="Whose it is, for people.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it opens; may be repeated. Default: read")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="90d", help="When it ends. Default: never")
    ] = None,
    as_json: JsonOption = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Creates; see `_CREATE_HELP`."""
    from collector.db.engine import writing
    from verifier.api import keys
    from verifier.settle.lease import database_now_us
    from verifier.times import read_duration

    life_us = None if expires is None else read_duration("--expires", expires)
    with existing_database(database_url, config) as engine, writing(engine) as connection:
        now_us = database_now_us(connection)
        expires_us = None if life_us is None else now_us + life_us
        scopes = set(scope or [Scope.READ])
        whole, made = keys.create(connection, name, scopes, now_us, expires_us)
    if as_json:
        typer.echo(json.dumps({"key": whole} | _to_json(made)))
    else:
        typer.echo("this key is shown once; send it as Authorization: Bearer …", err=True)
        typer.echo(whole)


def list_command(
    as_json: JsonOption = False, database_url: DatabaseOption = None, config: ConfigOption = None
) -> None:
    """Lists; see `_LIST_HELP`."""
    from collector.db.engine import reading
    from verifier.api import keys
    from verifier.settle.lease import database_now_us

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        found, now_us = keys.all_keys(connection), database_now_us(connection)
    if as_json:
        typer.echo(json.dumps([_to_json(one) for one in found]))
        return
    for one in found:
        state = "valid" if one.is_valid(now_us) else "revoked" if one.revoked_us else "over"
        typer.echo(f"{one.prefix}  {state:7}  {','.join(sorted(one.scopes)):14}  {one.name}")
    if not found:
        typer.echo("there is no key: only this machine may ask")


def revoke_command(
    prefix: Annotated[str, typer.Argument(help="As `list` shows it.")],
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Revokes; see `_REVOKE_HELP`."""
    from collector.db.engine import writing
    from verifier.api import keys
    from verifier.settle.lease import database_now_us

    with existing_database(database_url, config) as engine, writing(engine) as connection:
        keys.revoke(connection, prefix, database_now_us(connection))
    typer.echo(f"{prefix} opens nothing any more")


def _to_json(key: Key) -> dict[str, Any]:
    from verifier.times import iso_time

    times = {"created": key.created_us, "expires": key.expires_us, "revoked": key.revoked_us}
    told = {name: None if at is None else iso_time(at) for name, at in times.items()}
    return {"prefix": key.prefix, "name": key.name, "scopes": sorted(key.scopes)} | told
