"""`mirrorproof quarantine`: what nobody could read, and partitions that wait for an operator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from collector.errors import UsageError
from verifier.cli import quarantine_replay, resume
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database
from verifier.cli.printing import escaped, printable
from verifier.cli.quarantine_options import (
    JsonOption,
    PartitionOption,
    ReasonOption,
    SinceOption,
    TopicOption,
    read_since,
)
from verifier.times import iso_time

if TYPE_CHECKING:
    from collector.db.quarantined import Count, Entry

_HELP: Final = "Shows what nobody could read, and has stopped partitions read on."
_LIST_HELP: Final = """Lists quarantine: counts by reason, the newest lines, and stopped partitions.

[b]Examples[/b]

  mirrorproof quarantine list --since 1h

  mirrorproof quarantine list --reason "value too large" --topic istio-access-logs --json
"""
_SHOW_HELP: Final = """Shows one quarantined line or gap: where, why, whose, and how it begins.

Bytes that would drive a terminal are shown as escapes.

[b]Example[/b]

  mirrorproof quarantine show 17
"""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    group.command("list", help=_LIST_HELP)(list_command)
    group.command("show", help=_SHOW_HELP)(show_command)
    group.command("replay", help=quarantine_replay.HELP)(quarantine_replay.replay_command)
    group.command("resume", help=resume.HELP)(resume.resume_command)
    app.add_typer(group, name="quarantine")


def list_command(
    since: SinceOption = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    partition: PartitionOption = None,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="Most entries shown.")] = 20,
    replayed: Annotated[bool, typer.Option("--replayed", help="Also what was replayed.")] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lists; see `_LIST_HELP`."""
    from collector.db import quarantined
    from collector.db.engine import reading
    from collector.db.resume import stopped as all_stopped

    wanted = quarantined.Filter(read_since(since), reason, topic, partition, not replayed)
    with existing_database(database_url, config) as engine, reading(engine) as connection:
        counts = quarantined.counts(connection, wanted)
        entries = quarantined.entries(connection, wanted, limit)
        stopped = all_stopped(connection)
    if as_json:
        found = {
            "reasons": [_count_json(count) for count in counts],
            "entries": [entry_json(entry) for entry in entries],
            "stopped": [{"partition": str(s.partition), "reason": s.reason,
                         "next_offset": s.next_offset} for s in stopped],
        }  # fmt: skip
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    for count in counts:
        typer.echo(printable(f"{count.lines:8}  {count.reason}  (last {iso_time(count.last_us)})"))
    if not counts:
        typer.echo("nothing is in quarantine" if wanted == quarantined.Filter() else "nothing")
    for entry in entries:
        typer.echo(
            printable(f"{entry.id:8}  {iso_time(entry.at_us)}  {place(entry)}: {entry.reason}")
        )
    for one in stopped:
        typer.echo(printable(f"stopped at {one.next_offset}: {one.partition}: {one.reason}"))


def show_command(
    number: Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")],
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shows one; see `_SHOW_HELP`."""
    from collector.db import quarantined
    from collector.db.engine import reading

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        entry = quarantined.entry(connection, number)
    if entry is None:
        msg = f"quarantine has no entry {number}; `mirrorproof quarantine list` shows them"
        raise UsageError(msg)
    found = entry_json(entry)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    for name, value in found.items():
        if value not in (None, "", {}) and name != "prefix":
            typer.echo(printable(f"{name}: {value}"))
    typer.echo(f"begins: {escaped(entry.prefix)}" if entry.prefix else "nothing of it was read")


def place(entry: Entry) -> str:
    """Where an entry was read, for people."""
    if entry.is_gap:
        last = entry.record_offset + entry.records - 1
        return f"{entry.where} offsets {entry.record_offset} to {last}"
    item = f" line {entry.item}" if entry.item else ""
    return f"{entry.where} offset {entry.record_offset}{item}"


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry as `--json` prints it."""
    return {
        "id": entry.id,
        "topic": entry.topic,
        "partition": entry.partition,
        "offset": entry.record_offset,
        "item": entry.item,
        "records": entry.records,
        "reason": entry.reason,
        "gap": entry.is_gap,
        "quarantined_at": iso_time(entry.at_us),
        "record_time": None if entry.record_us is None else iso_time(entry.record_us),
        "until": None if entry.until_us is None else iso_time(entry.until_us),
        "replayed_at": None if entry.replayed_us is None else iso_time(entry.replayed_us),
        "written_by": json.loads(entry.identity) if entry.identity else {},
        "bytes": entry.length,
        "sha256": entry.sha256.hex(),
        "prefix": escaped(entry.prefix),
    }


def _count_json(count: Count) -> dict[str, Any]:
    return {"reason": count.reason, "lines": count.lines, "last": iso_time(count.last_us)}
