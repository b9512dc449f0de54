"""`mirrorproof verify`: settles windows beside the collectors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from verifier.cli.collect import (
    ConfigOption,
    DatabaseOption,
    database_override,
    load_settings,
    record_policies,
    stop_on_signals,
)

if TYPE_CHECKING:
    from threading import Event

    from sqlalchemy import Engine

    from collector.settings import Settings
    from verifier.alerts.deliver import Deliverer
    from verifier.monitor import Monitor
    from verifier.settle.record import Settled
    from verifier.settle.report import Totals

PolicyOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE", help="Policies of a file or folder; changes are picked up. Repeatable."
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object a line for each settled revision.")
]

_DRAIN_S = 30.0
"""So long `--once` sends the alerts that it wrote; the others a verifier sends that runs."""

_VERIFY_HELP = """Settles windows of the database that collectors fill.

A window is settled once all its lines must have arrived; lines that come later make a new
revision. Several verifiers may run: one settles, the others stand by. Stopped or killed anywhere,
the next one goes on with the same verdicts.

Exit status: 0 ended by SIGTERM, or all is settled (--once), 2 wrong usage or database.

[b]Examples[/b]

  mirrorproof verify --database-url postgresql://mirrorproof@db/mirrorproof --policy vs.yaml

  mirrorproof verify --once --json
"""


def window_json(settled: Settled) -> dict[str, Any]:
    """A settled revision as `--json` prints it."""
    from verifier.times import iso_time

    share = settled.result.percentage
    return {
        "policy": settled.policy,
        "window_start": iso_time(settled.window.start_us),
        "window_end": iso_time(settled.window.end_us),
        "revision": settled.revision,
        "statement": settled.result.ruling.statement.value,
        "reason": settled.result.ruling.reason,
        "requests": settled.requests,
        "verdicts": settled.result.verdicts,
        "percentage": {
            "declared": share.declared,
            "observed": share.observed,
            "low": share.low,
            "high": share.high,
            "consistent": share.consistent,
        },
        "findings": settled.findings,
    }


def window_line(settled: Settled) -> str:
    """A settled revision as people see it."""
    from verifier.times import iso_time

    result = settled.result
    revision = f" (revision {settled.revision})" if settled.revision > 1 else ""
    words = result.ruling.statement.value.replace("_", " ")
    return (
        f"{iso_time(settled.window.start_us)}  {settled.policy}  {words}: {result.ruling.reason}"
        f"  [{settled.requests} requests]{revision}"
    )


def total_line(total: Totals) -> str:
    """All settled windows of a policy as people see them."""
    words = total.statement.replace("_", " ")
    return (
        f"total  {total.policy}  {words}: {total.reason}"
        f"  [{total.requests} requests in {total.windows} windows]"
    )


def revision_printer(*, as_json: bool, always: bool = False) -> Callable[[Settled], None]:
    """Prints revisions: JSON lines, or lines for people, on a terminal only unless `always`."""
    if as_json:
        return lambda settled: typer.echo(json.dumps(window_json(settled), ensure_ascii=False))
    if always or sys.stdout.isatty():
        return lambda settled: typer.echo(window_line(settled))
    return lambda _settled: None


def _print_totals(engine: Engine) -> None:
    """One line for each policy, of all that was ever settled."""
    from collector.db.engine import reading
    from verifier.settle.report import policy_names, totals

    with reading(engine) as connection:
        found = [totals(connection, name) for name in policy_names(connection)]
    for total in found:
        typer.echo(total_line(total))
    if not found:
        typer.echo("nothing is settled")


def prepared_database(
    settings: Settings, policy: list[Path] | None, *, migrate: bool = False
) -> Engine:
    """The database, migrated where that may be done, with the policies recorded."""
    from collector.clock import SystemClock
    from collector.db.engine import check_connection, disposing, disposing_on_error, open_engine
    from collector.db.migrate import upgrade
    from collector.service.app import open_database

    if migrate:
        with disposing(open_engine(settings.database.address())) as engine:
            check_connection(engine)
            upgrade(engine)
    with disposing_on_error(open_database(settings)) as engine:
        if policy:
            record_policies(engine, policy, SystemClock().now_us())
    return engine


def make_deliverer(settings: Settings, engine: Engine, monitor: Monitor) -> Deliverer:
    """What sends alerts; its endpoints are known before anything is told."""
    from verifier.alerts import deliver

    found = deliver.build(settings, engine, monitor.attempted)
    found.declare()
    return found


def cluster_part(
    settings: Settings, engine: Engine, monitor: Monitor
) -> dict[str, Callable[[Event], object]]:
    """What keeps up with the cluster, where the settings say so, as a part of the process."""
    if not settings.cluster.enabled:
        return {}
    from verifier.cluster.app import build

    return {"cluster": build(settings, engine, monitor).run}


def verify(
    policy: PolicyOption = None,
    once: Annotated[
        bool, typer.Option("--once", help="Settle what is due, then end; for files and scripts.")
    ] = False,
    as_json: JsonOption = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Runs the command."""
    from collector.service.process import ProcessMetrics
    from verifier.app import build, tick_rules
    from verifier.monitor import Monitor
    from verifier.policy_files import watched
    from verifier.standing import Standing
    from verifier.together import run_together

    settings = load_settings(config, {"database": database_override(database_url)})
    stop = stop_on_signals()
    engine = prepared_database(settings, policy)
    try:
        printer = revision_printer(as_json=as_json, always=once)
        process = ProcessMetrics()
        Standing(engine, tick_rules(settings.verifier).evidence, process)
        monitor = Monitor(settings.verifier, process)
        verifier = build(settings, engine, on_settled=printer, monitor=monitor)
        deliverer = make_deliverer(settings, engine, monitor)
        parts = {"verifier": verifier.run, "alerts": deliverer.run}
        if once:
            verifier.settle_due()
            if not as_json:
                _print_totals(engine)
            deliverer.drain(_DRAIN_S)
        else:
            if policy:
                watched.start(settings, policy, stop)
            with monitor.serving():
                run_together(parts | cluster_part(settings, engine, monitor), stop)
    finally:
        engine.dispose()


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("verify", help=_VERIFY_HELP)(verify)
