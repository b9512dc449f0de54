"""`mirrorproof audit ingest`: whether every record was counted exactly once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database

if TYPE_CHECKING:
    from collector.db.audit import Account

HELP: Final = """Checks that every record was counted exactly once.

By partition: the batches cover the offsets without gap or overlap up to the position; each line
is stored, repeats a stored one (a shipper sent it twice), is ignored or quarantined; as many
lines as were stored, and as were quarantined, are there as far as retention kept them. Reads one
snapshot, changes nothing.

Exit status: 0 everything fits, 1 something does not, 2 the database cannot be read.

[b]Examples[/b]

  mirrorproof audit ingest

  mirrorproof audit ingest --database-url postgresql://mirrorproof@db/mirrorproof --json
"""
_FAULTY: Final = 1


def ingest_command(
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Checks the accounts; see `HELP`."""
    import msgspec

    from collector.db.audit import audit, cutoffs_of
    from collector.db.engine import reading
    from collector.db.kept import hold_lines

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        hold_lines(connection)
        accounts = audit(connection, cutoffs_of(connection))
    faults = sum(account.fault_count for account in accounts)
    if as_json:
        found = {"fits": not faults, "partitions": msgspec.to_builtins(accounts)}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print(accounts, faults)
    if faults:
        raise typer.Exit(_FAULTY)


def _print(accounts: list[Account], faults: int) -> None:
    from verifier.check.screen import printable

    for one in accounts:
        name = printable(f"{one.topic}/{one.partition}") if one.topic else "no partition"
        typer.echo(
            f"{name}: offsets {one.from_offset} to {one.next_offset}, {one.records} records, "
            f"{one.read} lines: {one.stored} stored, {one.repeated} repeated, "
            f"{one.ignored} ignored ({one.heartbeats} heartbeats), {one.quarantined} quarantined "
            f"({one.gaps} in gaps, {one.replayed} replayed)"
        )
        for fault in one.faults:
            typer.echo(f"  does not fit: {printable(fault)}")
        if one.fault_count > len(one.faults):
            typer.echo(f"  and {one.fault_count - len(one.faults)} more")
    typer.echo(f"{faults} faults" if faults else "everything fits")
