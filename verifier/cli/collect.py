"""`mirrorproof collect` and `mirrorproof migrate`: access logs into the database."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from verifier.cli.format import FormatOption, format_override

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from collector.settings import Settings

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE. "
        "[dim]Default: sqlite:///mirrorproof.db[/dim]",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file, TOML."),
]

_COLLECT_HELP = """Reads access logs from Kafka, or from files, into the database.

Only lines about the hosts of policies are stored. Several collectors share the partitions of a
consumer group; a process that dies at any moment neither loses nor doubles a line. Every setting
can also be given as an environment variable, MIRRORPROOF_KAFKA__GROUP, or in a file.
With MIRRORPROOF_DATABASE__SYNCHRONOUS_COMMIT=false commits do not wait for PostgreSQL's disk: lines
and offsets share each transaction, so that what a crash takes back is read from Kafka again.

Exit status: 0 ended by SIGTERM or at the end of the files, 2 wrong usage, or files without logs,
70 the loop hung.

[b]Examples[/b]

  mirrorproof collect --bootstrap-servers kafka:9092 --topic istio-access-logs --policy vs.yaml

  mirrorproof collect --database-url postgresql://mirrorproof@db/mirrorproof --partitions 0-3

  mirrorproof collect --from forecast-v1.jsonl --from forecast-v2.jsonl --policy vs.yaml
"""

_MIGRATE_HELP = """Brings the database's schema up to date. Safe to run twice, or by several pods.

[b]Example[/b]

  mirrorproof migrate --database-url postgresql://mirrorproof@db/mirrorproof
"""


def stop_on_signals() -> Event:
    """An event that SIGTERM and SIGINT set: everything ends in good order."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def load_settings(config: Path | None, overrides: Mapping[str, Mapping[str, object]]) -> Settings:
    """The settings of a command, and logging set up by them. Raises UsageError."""
    from collector import log
    from collector.settings import environment

    settings = environment.load(overrides, config=config)
    log.configure(settings.log.level, settings.log.format)
    return settings


def database_override(url: str | None) -> dict[str, object]:
    """What `--database-url` means as settings; it also replaces a `url_file` from elsewhere."""
    return {} if url is None else {"url": url}


def kafka_override(
    bootstrap_servers: str | None,
    topic: list[str] | None,
    group: str | None,
    partitions: str | None,
) -> dict[str, object]:
    """What the options of Kafka mean as settings."""
    return {
        "bootstrap_servers": bootstrap_servers,
        "topics": tuple(topic) if topic else None,
        "group": group,
        "partitions": partitions,
    }


def record_policies(engine: Engine, paths: list[Path], now_us: int) -> None:
    """Records what policy files declare, and ends what they declare no more."""
    from collector.db.engine import writing
    from verifier.policies.read import read_policies
    from verifier.policy_files.declared import declare

    policies = read_policies(paths)
    with writing(engine) as connection:
        declare(connection, paths, policies, now_us)


def _collect_files(settings: Settings, paths: list[Path], stop: Event) -> None:
    """Reads files to their ends and tells what was in them. Raises InputError, UsageError."""
    from collector.service.app import build_from_files

    built = build_from_files(settings, paths, stop)
    built.run(stop)
    found = built.totals
    typer.echo(
        f"{found.read} lines read: {found.stored} stored, {found.ignored} ignored, "
        f"{found.quarantined} quarantined",
        err=True,
    )
    built.check_outcome()


def _collect_records(settings: Settings, policy: list[Path] | None, stop: Event) -> None:
    """Reads from Kafka until `stop` is set. Raises UsageError, Retryable."""
    from collector.service.app import build
    from collector.service.watchdog import leave_in_time
    from verifier import retention
    from verifier.policy_files import watched

    leave_in_time(stop)
    retention.start(settings, stop)
    built = build(settings, stop=stop)
    if policy:
        watched.start(settings, policy, stop, partial(built.health.warn, "policy_files"))
    built.run(stop)


def collect(
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT,…", help="Kafka brokers to begin with."),
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC", help="Topic to read; may be repeated.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Consumer group.")] = None,
    partitions: Annotated[
        str | None,
        typer.Option(metavar="0-3,7", help="Read these partitions, without a consumer group."),
    ] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Read a file instead; may be repeated."),
    ] = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Policies of a file or folder; changes are picked up. Repeatable."
        ),
    ] = None,
    access_log_format: FormatOption = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Runs the command."""
    from collector.clock import SystemClock
    from collector.db.engine import disposing
    from collector.service import app
    from collector.service.interpreter import favour_throughput

    favour_throughput()
    kafka = kafka_override(bootstrap_servers, topic, group, partitions)
    own = format_override(access_log_format)
    overrides = {"kafka": kafka, "database": database_override(database_url), "collector": own}
    settings = load_settings(config, overrides)
    stop = stop_on_signals()
    if policy:
        with disposing(app.await_database(settings, SystemClock(), stop)) as engine:
            record_policies(engine, policy, SystemClock().now_us())
    if from_:
        return _collect_files(settings, from_, stop)
    return _collect_records(settings, policy, stop)


def migrate(database_url: DatabaseOption = None, config: ConfigOption = None) -> None:
    """Runs the command."""
    from collector.db.engine import check_connection, describe, disposing, open_engine
    from collector.db.migrate import is_newer, upgrade

    settings = load_settings(config, {"database": database_override(database_url)})
    with disposing(open_engine(settings.database.address())) as engine:
        check_connection(engine)
        revision = upgrade(engine)
        newer = ", newer than this program, which works on it" if is_newer(engine, revision) else ""
        typer.echo(f"{describe(engine.url)} is at {revision}{newer}")


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command("collect", help=_COLLECT_HELP)(collect)
    app.command("migrate", help=_MIGRATE_HELP)(migrate)
