"""`mirrorproof replay`: settles a range again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from verifier.cli.collect import (
    ConfigOption,
    DatabaseOption,
    database_override,
    load_settings,
    stop_on_signals,
)
from verifier.cli.database import existing
from verifier.times import iso_time

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from verifier.app import Verifier
    from verifier.settle.report import WindowReport
    from verifier.settle.windows import Span

_HELP: Final = """Settles a range again, as new revisions: after a policy was corrected.

The stored lines are judged anew by the policies as they are recorded now, see [b]policy record
--valid-from[/b]. What was said before stays, marked as superseded. A running verifier does it
beside its work; this command does it where there is none.

Exit status: 0 done, 2 wrong usage or database, 130 interrupted: the rest is settled later.

[b]Examples[/b]

  mirrorproof replay --since 6h

  mirrorproof replay weather/forecast-route --since 2026-11-22T10:00:00Z --until 2h
"""
_LOOK_AGAIN_S: Final = 1.0
_INTERRUPTED: Final = 130


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("replay", help=_HELP)(replay_command)


def replay_command(
    since: Annotated[str, typer.Option(metavar="6h|TIME", help="From when.")],
    policies: Annotated[
        list[str] | None, typer.Argument(metavar="[POLICY]…", help="Names; left out: all.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="1h|TIME", help="Up to when; left out: now.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line for each new revision.")
    ] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Replays; see `_HELP`."""
    from verifier import app

    settings = load_settings(config, {"database": database_override(database_url)})
    stop = stop_on_signals()
    with existing(settings) as engine:
        begun_us, span = _begin(engine, policies or [], since, until)
        verifier = app.build(settings, engine)
        try:
            _drain(engine, verifier, span, stop)
        finally:
            verifier.leave()
        _print_changes(engine, policies or [], span, begun_us, as_json=as_json)
    if stop.is_set():
        raise typer.Exit(_INTERRUPTED)


def _begin(engine: Engine, policies: list[str], since: str, until: str | None) -> tuple[int, Span]:
    """Queues the windows; returns the database's time and the span."""
    from collector.db.engine import writing
    from verifier.settle.lease import database_now_us
    from verifier.settle.replay import enqueue_range
    from verifier.settle.windows import Span
    from verifier.times import read_moment

    with writing(engine) as connection:
        now_us = database_now_us(connection)
        until_us = now_us if until is None else read_moment("--until", until, now_us)
        span = Span(read_moment("--since", since, now_us), until_us)
        enqueue_range(connection, policies, span)
    return now_us, span


def _drain(engine: Engine, verifier: Verifier, span: Span, stop: Event) -> None:
    """Settles until none of the windows waits, or lets who has the lease do it."""
    from collector.db.engine import reading
    from verifier.settle.replay import waiting

    with _progress() as show:
        while not stop.is_set():
            with reading(engine) as connection:
                left = waiting(connection, span)
            show(left)
            if not left:
                return
            if verifier.turn() is None:
                stop.wait(_LOOK_AGAIN_S)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, when it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _left: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("settling again", total=None)

        def show(left: int) -> None:
            total = max(left, bar.tasks[0].total or 0)
            bar.update(task, total=total, completed=total - left)

        yield show


def _print_changes(
    engine: Engine, policies: list[str], span: Span, begun_us: int, *, as_json: bool
) -> None:
    """The revisions that were made since, and how many there are."""
    from collector.db.engine import reading
    from collector.db.kept import lines_kept_from
    from verifier.settle.report import policy_names, revised

    with reading(engine) as connection:
        kept_us = lines_kept_from(connection)
        names = policies or policy_names(connection)
        found = [one for name in names for one in revised(connection, name, span, begun_us)]
    for one in found:
        typer.echo(json.dumps(_to_json(one)) if as_json else _line(one))
    if not as_json:
        typer.echo(f"{len(found)} windows have a new revision")
    if kept_us is not None and span.start_us < kept_us:
        kept = f"lines are kept from {iso_time(kept_us)}"
        typer.echo(f"{kept}; windows before keep their verdicts", err=True)


def _to_json(window: WindowReport) -> dict[str, Any]:
    """A revision as `--json` prints it: as `verify --json` does."""
    import msgspec

    return {
        "policy": window.policy,
        "window_start": iso_time(window.start_us),
        "window_end": iso_time(window.end_us),
        "revision": window.revision,
        "statement": window.statement,
        "reason": window.reason,
        "requests": window.requests,
        "verdicts": window.verdicts,
        "percentage": msgspec.to_builtins(window.percentage),
        "findings": window.findings,
    }


def _line(window: WindowReport) -> str:
    """A revision as people see it."""
    return (
        f"{iso_time(window.start_us)}  {window.policy}  {window.statement.replace('_', ' ')}: "
        f"{window.reason}  [{window.requests} requests] (revision {window.revision})"
    )
