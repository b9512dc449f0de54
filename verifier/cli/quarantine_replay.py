"""`mirrorproof quarantine replay`: reads quarantined lines again."""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

from collector.errors import UsageError
from verifier.cli.collect import ConfigOption, DatabaseOption, load_settings
from verifier.cli.database import existing_database
from verifier.cli.quarantine_options import (
    JsonOption,
    KafkaOption,
    PartitionOption,
    ReasonOption,
    SinceOption,
    TopicOption,
    read_since,
)

HELP: Final = """Reads quarantined lines again, after an upgrade or with other settings.

Records are fetched from Kafka where they are still there; else what is stored is read, where that
is the whole line. Each is stored once, and leaves quarantine in the same transaction; windows that
it touches are settled anew.

Exit status: 0 all were read, 1 some are still unreadable or gone, 2 wrong usage or unreachable.

[b]Examples[/b]

  mirrorproof quarantine replay 17 18

  mirrorproof quarantine replay --reason "no known format" --since 7d
"""
_REMAIN: Final = 1
_AT_ONCE: Final = 1_000_000


def replay_command(
    numbers: Annotated[
        list[int] | None, typer.Argument(metavar="[ID]…", help="As `list` shows them.")
    ] = None,
    since: SinceOption = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    partition: PartitionOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All that waits.")] = False,
    bootstrap_servers: KafkaOption = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replays; see `HELP`."""
    from collector.clock import SystemClock
    from collector.db import quarantined
    from collector.db.engine import reading
    from collector.service.replay import Outcome, Replay, tally

    wanted = quarantined.Filter(read_since(since), reason, topic, partition)
    if not numbers and wanted == quarantined.Filter() and not everything:
        raise UsageError("say which: by ID, --reason, --since, --topic, or --all")
    settings = load_settings(config, {"kafka": {"bootstrap_servers": bootstrap_servers}})
    with existing_database(database_url, config) as engine:
        with reading(engine) as connection:
            ids = numbers or quarantined.ids(connection, wanted, _AT_ONCE)
        outcomes = []
        with Replay(settings, engine, SystemClock()) as replay:
            for number in ids:
                with reading(engine) as connection:
                    entry = quarantined.entry(connection, number)
                if entry is None:
                    raise UsageError(f"quarantine has no entry {number}")
                outcomes.append(replay.replay(entry))
    found = tally(outcomes)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        said = ", ".join(f"{count} {outcome}" for outcome, count in found.items() if count)
        typer.echo(said or "nothing waits in quarantine")
    if found[Outcome.UNREADABLE] or found[Outcome.GONE]:
        raise typer.Exit(_REMAIN)
