"""`mirrorproof replay`: settles a range again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

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
beside its work; this command does it where there is none. Interrupted or killed anywhere, what is
left stays queued.

Exit status: 0 done, 2 wrong usage or database, 130 interrupted: the rest is settled later.

[b]Examples[/b]

  mirrorproof replay --since 6h

  mirrorproof replay weather/forecast-route --since 2026-11-22T10:00:00Z --until 2h
"""
_LOOK_AGAIN_S: Final = 1.0
_TELL_EVERY_S: Final = 5.0
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
        bool, typer.Option("--json", help="A JSON object a line: each new revision, a summary.")
    ] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Replays; see `_HELP`."""
    from verifier import app

    settings = load_settings(config, {"database": database_override(database_url)})
    names, stop = policies or [], stop_on_signals()
    with existing(settings) as engine:
        begun_us, span, queued = _begin(engine, names, since, until)
        verifier = app.build(settings, engine)
        try:
            left = _drain(engine, verifier, Asked(names, span, queued), stop)
        finally:
            verifier.leave()
        revised = _print_changes(engine, names, span, begun_us, as_json=as_json)
    if as_json:
        found = {
            "since": iso_time(span.start_us), "until": iso_time(span.end_us), "policies": names,
            "windows": queued, "revised": revised, "left": left,
        }  # fmt: skip
        typer.echo(json.dumps({"summary": found}))
    if left:
        typer.echo(f"interrupted: {left} windows wait, a verifier settles them", err=True)
        raise typer.Exit(_INTERRUPTED)


class Asked(NamedTuple):
    """What is to be settled again, and how many windows that is; no policies: all."""

    policies: list[str]
    span: Span
    windows: int


def _begin(
    engine: Engine, policies: list[str], since: str, until: str | None
) -> tuple[int, Span, int]:
    """Queues the windows; returns the database's time, the span, and how many windows."""
    from collector.db.engine import writing
    from verifier.settle.lease import database_now_us
    from verifier.settle.replay import enqueue_range
    from verifier.settle.windows import Span
    from verifier.times import read_moment

    with writing(engine) as connection:
        now_us = database_now_us(connection)
        until_us = now_us if until is None else read_moment("--until", until, now_us)
        span = Span(read_moment("--since", since, now_us), until_us)
        queued = enqueue_range(connection, policies, span)
    return now_us, span, queued


def _drain(engine: Engine, verifier: Verifier, asked: Asked, stop: Event) -> int:
    """Settles until none of the windows waits, or lets who has the lease do it.

    Returns:
        How many wait still: it was interrupted. Each window is settled whole or not at all.
    """
    from collector.db.engine import reading
    from verifier.settle.replay import waiting

    with _progress(asked.windows) as show:
        while True:
            with reading(engine) as connection:
                left = waiting(connection, asked.policies, asked.span)
            show(left)
            if not left or stop.is_set():
                return left
            if verifier.turn() is None:
                stop.wait(_LOOK_AGAIN_S)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error when it is a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines(total, time.monotonic).show
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("settling again", total=total)
        yield lambda left: bar.update(task, completed=max(0, total - left))


class _Lines:
    """Progress for logs: at most a line every few seconds, and none of what is done at once."""

    def __init__(self, total: int, now_s: Callable[[], float]) -> None:
        self._total = total
        self._now_s = now_s
        self._told_s = now_s()

    def show(self, left: int) -> None:
        """Says how far it is, when it is time."""
        if left and self._now_s() - self._told_s >= _TELL_EVERY_S:
            self._told_s = self._now_s()
            done = max(0, self._total - left)
            typer.echo(f"{done} of {self._total} windows settled again", err=True)


def _print_changes(
    engine: Engine, policies: list[str], span: Span, begun_us: int, *, as_json: bool
) -> int:
    """Prints the revisions that were made since; returns how many there are."""
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
    return len(found)


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
