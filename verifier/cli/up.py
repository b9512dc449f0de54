"""`mirrorproof up`: all in one process."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from verifier.cli.collect import (
    ConfigOption,
    DatabaseOption,
    database_override,
    kafka_override,
    load_settings,
    stop_on_signals,
)
from verifier.cli.format import FormatOption, format_override
from verifier.cli.serve import ListenOption
from verifier.cli.verify import (
    JsonOption,
    PolicyOption,
    cluster_part,
    make_deliverer,
    prepared_database,
    revision_printer,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from collector.settings import Settings

_UP_HELP: Final = """Collects, verifies and answers in one process, on SQLite by default.

The page and the query API are at http://127.0.0.1:8080; `--listen` says where else.

The database is made and migrated; PostgreSQL only with --migrate. Ends as a whole when one part
ends.

Exit status: 0 ended by SIGTERM, 2 wrong usage, or a part failed.

[b]Examples[/b]

  mirrorproof up --bootstrap-servers kafka:9092 --topic istio-access-logs --policy vs.yaml

  mirrorproof up --policy vs.yaml --database-url sqlite:////var/lib/mirrorproof/mirrorproof.db
"""


def up(
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
    policy: PolicyOption = None,
    access_log_format: FormatOption = None,
    migrate: Annotated[bool, typer.Option("--migrate", help="Migrate PostgreSQL, too.")] = False,
    listen: ListenOption = None,
    as_json: JsonOption = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Runs the command."""
    own = format_override(access_log_format)
    overrides: dict[str, dict[str, object]] = {
        "kafka": kafka_override(bootstrap_servers, topic, group, partitions),
        "database": database_override(database_url),
        "collector": own,
        "api": {"listen": listen},
    }
    _run(load_settings(config, overrides), policy, migrate=migrate, as_json=as_json)


def _run(settings: Settings, policy: list[Path] | None, *, migrate: bool, as_json: bool) -> None:
    """Runs all parts until a signal, or until one of them ends."""
    from collector.service import app as collector_app
    from collector.service.process import ProcessMetrics
    from verifier import retention
    from verifier.api.server import Server, make_services
    from verifier.app import build
    from verifier.monitor import Monitor
    from verifier.policy_files import watched
    from verifier.together import run_together

    stop = stop_on_signals()
    engine = prepared_database(settings, policy, migrate=migrate)
    try:
        # Two engines: each part closes its own when it ends.
        process = ProcessMetrics()
        collector = collector_app.build(settings, process=process)
        retention.start(settings, stop)
        if policy:
            watched.start(settings, policy, stop, partial(collector.health.warn, "policy_files"))
        monitor = Monitor(settings.verifier, process)
        printer = revision_printer(as_json=as_json)
        verifier = build(settings, engine, on_settled=printer, monitor=monitor)
        alerts = make_deliverer(settings, engine, monitor)
        server = Server(make_services(settings, engine), process)
        typer.echo(f"mirrorproof shows what it finds at {server.url}", err=True)
        parts: dict[str, Callable[[Event], object]] = {
            "collector": collector.run,
            "verifier": verifier.run,
            "alerts": alerts.run,
            "api": server.run,
            **cluster_part(settings, engine, monitor),
        }
        with monitor.serving():
            run_together(parts, stop)
    finally:
        engine.dispose()


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("up", help=_UP_HELP)(up)
