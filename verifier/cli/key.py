"""`mirrorproof key`: who may ask the query API."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from collector.errors import UsageError
from verifier.api.scopes import Scope
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from verifier.api.keys import Key

_HELP: Final = "Makes, lists and revokes the keys of the query API."
_CREATE_HELP: Final = """Makes a key, and shows it this once: only its digest is stored.

Scopes: read (statements, windows, incidents, findings without their lines), raw (also lines), admin
(all, and changes). The first key shuts the API for everybody who has none. With --to the key is
written into a new file instead; where the file holds a valid key with these scopes nothing is done.

Exit status: 0 done, 2 wrong usage or database.

[b]Examples[/b]

  mirrorproof key create grafana

  mirrorproof key create auditor --scope raw --expires 90d

  mirrorproof key create prometheus --to /run/keys/prometheus
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
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there, for the file's owner only.")
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
    scopes = set(scope or [Scope.READ])
    with existing_database(database_url, config) as engine, writing(engine) as connection:
        now_us = database_now_us(connection)
        if to is not None and _holds_key(connection, to, scopes, now_us):
            typer.echo(f"{to} holds a valid key", err=True)
            return
        expires_us = None if life_us is None else now_us + life_us
        whole, made = keys.create(connection, name, scopes, now_us, expires_us)
        if to is not None:
            _write_new(to, whole)  # before the key is stored: what nobody has opens nothing
    _tell(whole, made, to, as_json=as_json)


def _holds_key(connection: Connection, file: Path, scopes: set[Scope], now_us: int) -> bool:
    """Whether a file has a valid key with these scopes. Raises UsageError: it has another text."""
    from collector.settings.forms import read_secret
    from verifier.api import keys

    if not file.exists():
        return False
    found = keys.find(connection, read_secret(None, file, "--to") or "", now_us)
    if found is None or not scopes <= found.scopes:
        raise UsageError(f"--to: {file} holds no valid key with these scopes; remove the file")
    return True


def _write_new(file: Path, whole: str) -> None:
    """Writes a key to a new file that only its owner can read. Raises UsageError."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(f"{whole}\n")
    except OSError as error:
        raise UsageError(f"--to: cannot write {file}: {error.strerror}") from error


def _tell(whole: str, made: Key, to: Path | None, *, as_json: bool) -> None:
    """Shows a new key, or where it was written."""
    if as_json:
        typer.echo(json.dumps(({"key": whole} if to is None else {}) | _to_json(made)))
    elif to is not None:
        typer.echo(f"{made.prefix} is in {to}", err=True)
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
