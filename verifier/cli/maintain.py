"""`mirrorproof maintain`: what collectors do by the way, once and at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from verifier.cli.collect import ConfigOption, DatabaseOption, database_override, load_settings
from verifier.cli.database import existing_database

if TYPE_CHECKING:
    from collector.service.maintenance import Report

_HELP = """Drops what is old enough, makes partitions ahead and builds the indexes of full ones.

Collectors do so once a minute by themselves (MIRRORPROOF_RETENTION__EVERY_S); this is for looking,
or for doing it now. Nothing that writes or reads is locked out. How long things are kept is set by
MIRRORPROOF_RETENTION__…, as LINES_DAYS; windows whose lines are dropped keep their verdicts.

Exit status: 0 done, also when another process is at it, 2 wrong usage or database.

[b]Examples[/b]

  mirrorproof maintain --dry-run

  mirrorproof maintain --database-url postgresql://mirrorproof@db/mirrorproof --json
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("maintain", help=_HELP)(maintain)


def maintain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be dropped.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Runs the command; see `_HELP`."""
    from collector.clock import SystemClock
    from verifier.retention import maintenance

    settings = load_settings(config, {"database": database_override(database_url)})
    with existing_database(database_url, config) as engine:
        report = maintenance(settings, engine, SystemClock()).once(dry_run=dry_run)
    found = _found(report, dry_run=dry_run)
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else _told(found))


def _found(report: Report, *, dry_run: bool) -> dict[str, Any]:
    """What was done as `--json` prints it."""
    from verifier.times import iso_time

    kept, lost = report.kept_from_us, report.unsettled_us
    return {
        "dry_run": dry_run,
        "busy": report.busy,
        "dropped": report.dropped,
        "indexed": report.indexed,
        "put_off": report.put_off,
        "unsettled_dropped_before": None if lost is None else iso_time(lost),
        "lines_kept_from": None if kept is None else iso_time(kept),
    }


def _told(found: dict[str, Any]) -> str:
    """What was done as people see it."""
    if found["busy"]:
        return "another process is at it; nothing was done"
    dropped = ", ".join(f"{number} {name}" for name, number in found["dropped"].items() if number)
    lines = [f"{'would drop' if found['dry_run'] else 'dropped'}: {dropped or 'nothing'}"]
    lines += [f"indexed: {name}" for name in found["indexed"]]
    lines += [f"left for the next time: {statement}" for statement in found["put_off"]]
    if found["unsettled_dropped_before"]:
        lines.append(f"never settled: lines stored before {found['unsettled_dropped_before']}")
    kept = found["lines_kept_from"]
    lines.append(f"lines are kept from {kept}" if kept else "all lines are kept")
    return "\n".join(lines)
