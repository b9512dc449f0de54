"""`mirrorproof doctor`: looks everything over, and says what to mend."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from verifier.cli.collect import (
    ConfigOption,
    DatabaseOption,
    database_override,
    kafka_override,
    load_settings,
)
from verifier.cli.printing import printable

if TYPE_CHECKING:
    from verifier.doctor.finding import Finding

_HELP: Final = """Looks an installation over, and says what to mend. It changes nothing.

Brokers, topics, lag, how long Kafka keeps records, the last records' times and format; the
database, its schema, clock and disk, who is alive, whose logs arrive for each policy, heartbeats,
quarantine, keys; receivers of alerts and the token provider, to which nothing is sent. All at the
same time; what does not answer keeps nothing else back.

Exit status: 0 all is well, 1 something is to be mended, 2 wrong usage.

[b]Examples[/b]

  mirrorproof doctor --config mirrorproof.toml

  mirrorproof doctor --bootstrap-servers kafka:9092 --topic istio-access-logs --json
"""
_TO_MEND: Final = 1


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("doctor", help=_HELP)(doctor_command)


def doctor_command(
    bootstrap_servers: Annotated[
        str | None, typer.Option(metavar="HOST:PORT,…", help="Kafka brokers to begin with.")
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC", help="Topic to look at; may be repeated.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1.0, max=600.0, help="How long all may take, seconds.")
    ] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Looks; see `_HELP`."""
    import msgspec

    from collector.clock import SystemClock
    from verifier.doctor.finding import Status, is_well
    from verifier.doctor.run import examine, groups_of

    kafka = kafka_override(bootstrap_servers, topic, None, None)
    overrides = {"kafka": kafka, "database": database_override(database_url)}
    settings = load_settings(config, overrides)
    findings = examine(groups_of(settings, SystemClock()), timeout)
    well = is_well(findings)
    if as_json:
        told = {"ok": well, "findings": msgspec.to_builtins(findings)}
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        for one in findings:
            if one.status is not Status.SKIPPED:
                typer.echo(_shown(one))
        for why in dict.fromkeys(one.seen for one in findings if one.status is Status.SKIPPED):
            left = [one.name for one in findings if (one.status, one.seen) == (Status.SKIPPED, why)]
            typer.echo(printable(f"SKIPPED {', '.join(left)}: {why}"))
    raise typer.Exit(0 if well else _TO_MEND)


def _shown(one: Finding) -> str:
    """A finding for people: what, how, what was seen; and below it what to do."""
    line = f"{one.status.value.upper():8}{one.name}: {one.seen}"
    return printable(line) + (f"\n        → {printable(one.do)}" if one.do else "")
