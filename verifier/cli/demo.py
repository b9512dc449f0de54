"""`mirrorproof demo`: a mirrored mesh of real proxies on this machine, verified live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_HELP = """Shows the product at work on a small mesh of real Envoy proxies.

A frontend sends live traffic to forecast v2 and a copy of each request to v1. The mirror is
removed for a while, restored, then a few live requests leak to v1. Collector and verifier run as
in production; at the end their figures stand beside what the applications really counted.

Exit status: 0 the figures are equal, 1 they differ, 2 it cannot run here.

[b]Examples[/b]

  mirrorproof demo --exit-after 60

  mirrorproof demo --exit-after 60 --keep ./demo

  mirrorproof demo --bootstrap-servers localhost:9092 --database-url postgresql://me@localhost/test
"""


def demo(
    exit_after: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="End after so many seconds, at least 20. [dim]Default: at Ctrl-C[/dim]",
        ),
    ] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,…",
            help="Kafka brokers to use; the demo makes a topic there and deletes it at its end. "
            "[dim]Default: an embedded broker[/dim]",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="sqlite:///NEWFILE or postgresql://USER:PASSWORD@HOST/DATABASE, where the demo "
            "makes a schema and drops it at its end. [dim]Default: SQLite, temporary[/dim]",
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=1, max=300, help="Calls a second.")] = 60.0,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            file_okay=False,
            help="Keep logs, policy and database there. [dim]Default: nothing is kept[/dim]",
        ),
    ] = None,
) -> None:
    """Runs the command."""
    from verifier.demo.requirements import check_requirements

    check_requirements()  # before imports that fail elsewhere with more than one line
    from verifier.demo.run import DemoOptions, run_demo
    from verifier.demo.screen import open_screen

    options = DemoOptions(
        exit_after_s=exit_after,
        bootstrap=bootstrap_servers,
        database_url=database_url,
        rate=rate,
        keep=keep,
    )
    raise typer.Exit(run_demo(options, open_screen()))


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command("demo", help=_HELP)(demo)
