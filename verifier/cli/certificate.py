"""`mirrorproof audit certify`, and `audit verify FILE`: a range, signed, and checked later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from collector.errors import InputError
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database

if TYPE_CHECKING:
    from sqlalchemy import Engine

CERTIFY_HELP: Final = """Writes a signed certificate of a range, with the digests it rests on.

Keep it elsewhere, and check it with [b]audit verify FILE[/b]. The range is rounded outwards
to whole windows.

Exit status: 0 written, 2 wrong usage or database.

[b]Example[/b]

  mirrorproof audit certify weather/forecast-route --since 24h > certificate.json
"""
_MOST_BYTES: Final = 1_000_000


def certify_command(
    policy: Annotated[str, typer.Argument(help="Name of the policy, NAMESPACE/NAME.")],
    since: Annotated[str, typer.Option(metavar="1d|TIME", help="From when.")] = "1d",
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Up to when. Default: what is settled")
    ] = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Certifies; see `CERTIFY_HELP`."""
    from verifier.certified import certify

    with existing_database(database_url, config) as engine:
        typer.echo(json.dumps(certify(engine, policy, since, until), indent=2))


def check_files(engine: Engine, paths: list[Path]) -> list[dict[str, Any]]:
    """What became of certificates: each with what does not fit, in words.

    Raises:
        InputError: A file is no certificate.
    """
    from verifier.certified import check

    return [{"file": str(path)} | check(engine, _read(path)) for path in paths]


def show(checked: list[dict[str, Any]]) -> None:
    """The outcome for people."""
    for one in checked:
        since = f", {one['revised']} windows were revised since" if one["revised"] else ""
        typer.echo(f"{one['file']}: {'; '.join(one['misfits']) or 'fits'}{since}")


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()[:_MOST_BYTES]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        found = json.loads(data)
    except ValueError as error:
        raise InputError(f"{path}: is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: is no certificate")
    return found
