"""`mirrorproof audit`: is what is stored still what was written?"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from verifier.cli import audit_ingest, certificate
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database
from verifier.times import iso_time

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from verifier.settle.audit import Chain

_HELP: Final = "Checks the stored evidence against itself."
_VERIFY_HELP: Final = """Follows each policy's chain of windows to the first row that does not fit.

The digest of every row rests on all that it says, on its findings, its policy version, and on the
row before. Where retention dropped findings, only the links of rows are checked. Whoever can write
to the database could write the whole chain anew: note the printed head elsewhere, and give it with
--expect the next time, or keep certificates ([b]audit certify[/b]) and name them here.

Exit status: 0 all fits, 1 a row or a certificate does not fit, or a head was not found, 2 wrong
usage or database.

[b]Examples[/b]

  mirrorproof audit verify

  mirrorproof audit verify --expect 6c1fa9…full digest…07 --json

  mirrorproof audit verify certificate.json
"""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    audit = typer.Typer(help=_HELP, no_args_is_help=True)
    audit.command("verify", help=_VERIFY_HELP)(verify_command)
    audit.command("ingest", help=audit_ingest.HELP)(audit_ingest.ingest_command)
    audit.command("certify", help=certificate.CERTIFY_HELP)(certificate.certify_command)
    app.add_typer(audit, name="audit")


def verify_command(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]…", help="Certificates to check.")
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="DIGEST", help="A head noted before; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Verifies; see `_VERIFY_HELP`."""
    wanted = set(expect or ())
    with existing_database(database_url, config) as engine:
        chains = list(_follow_all(engine, wanted))
        checked = certificate.check_files(engine, files or [])
    if as_json:
        found = {"chains": [_to_json(chain) for chain in chains], "not_found": sorted(wanted)}
        typer.echo(json.dumps(found | {"certificates": checked}))
    else:
        _show(chains, wanted)
        certificate.show(checked)
    fits = not any(chain.broken for chain in chains) and not any(one["misfits"] for one in checked)
    raise typer.Exit(1 if wanted or not fits else 0)


def _follow_all(engine: Engine, wanted: set[str]) -> Iterator[Chain]:
    """Follows every chain in one snapshot; takes the heads that it passes out of the wanted."""
    from collector.db.engine import reading
    from verifier.settle.audit import follow, policies

    with reading(engine) as connection, _counter() as count:

        def passed(digest: bytes) -> None:
            wanted.discard(digest.hex())
            count()

        for policy in policies(connection):
            yield follow(connection, policy, passed)


@contextmanager
def _counter() -> Iterator[Callable[[], None]]:
    """Shows how many rows were followed, on standard error when it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console

    rows = itertools.count(1)
    with Console(stderr=True).status("following the chains") as status:

        def count() -> None:
            if (number := next(rows)) % 1000 == 0:
                status.update(f"{number} rows fit")

        yield count


def _to_json(chain: Chain) -> dict[str, Any]:
    """A chain as `--json` prints it."""
    broken = chain.broken
    start_us = None if broken is None else broken.window_start_us
    return {
        "policy": chain.policy,
        "rows": chain.rows,
        "linked": chain.linked,
        "anchor": chain.anchor.hex(),
        "head": chain.head.hex(),
        "broken": broken
        and {
            "window_start": None if start_us is None else iso_time(start_us),
            "revision": broken.revision,
            "why": broken.why,
        },
    }


def _show(chains: list[Chain], not_found: set[str]) -> None:
    """The outcome for people."""
    for chain in chains:
        dropped = ", earlier ones were dropped by retention" if chain.anchor else ""
        linked = f", {chain.linked} by their links, without dropped or erased findings" * bool(
            chain.linked
        )
        fit = f"{chain.rows} rows fit{linked}{dropped}"
        typer.echo(f"{chain.policy}: {fit}, head {chain.head.hex()}")
        if (broken := chain.broken) is not None:
            window = broken.window_start_us
            place = "" if window is None else f"{iso_time(window)} revision {broken.revision}: "
            typer.echo(f"{chain.policy}: {place}{broken.why}")
    if not chains:
        typer.echo("nothing is settled")
    for digest in sorted(not_found):
        typer.echo(f"no row that fits has the digest {digest}")
