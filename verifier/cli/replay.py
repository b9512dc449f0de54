"""`mirrorproof replay`: settles a range again, or reads offsets again."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
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
from verifier.cli.progress import progress
from verifier.cli.quarantine_options import KafkaOption
from verifier.cli.replay_offsets import INTERRUPTED, Offsets, replay_offsets
from verifier.times import iso_time

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from collector.settings import Settings
    from verifier.app import Verifier
    from verifier.settle.report import WindowReport
    from verifier.settle.windows import Span

_HELP: Final = """Settles a range again, as new revisions: after a policy was corrected. Or reads a
range of offsets again: after a format was corrected, or records were passed over.

With [b]--since[/b], the stored lines are judged anew by the policies as they are recorded now, see
[b]policy record --valid-from[/b].

With [b]--topic[/b], records are fetched from Kafka again, by a client of its own that moves no
position, and read with today's settings. What was not stored yet is; what was is counted as
repeated. Lines that can be read now leave quarantine, and gaps become smaller. Windows around these
records are settled again.

What was said before stays, marked as superseded. A running verifier settles beside its work; this
command does it where there is none. Interrupted or killed anywhere, run it again: nothing is
doubled.

Exit status: 0 done, 2 wrong usage, Kafka or database, 130 interrupted.

[b]Examples[/b]

  mirrorproof replay --since 6h

  mirrorproof replay weather/forecast-route --since 2026-11-22T10:00:00Z --until 2h

  mirrorproof replay --topic istio-access-logs --partition 3 --from-offset 81200 --to-offset 90000
"""
_LOOK_AGAIN_S: Final = 1.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("replay", help=_HELP)(replay_command)


def replay_command(
    policies: Annotated[
        list[str] | None, typer.Argument(metavar="[POLICY]…", help="Names; left out: all.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="6h|TIME", help="From when.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="1h|TIME", help="Up to when; left out: now.")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="Read this topic again.")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Of it, this partition.")] = None,
    from_offset: Annotated[int | None, typer.Option(min=0, help="The first offset.")] = None,
    to_offset: Annotated[
        int | None, typer.Option(min=0, help="The offset after the last; left out: all read ones.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read, and only say what would be stored.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="A JSON object a line: what was read again, each new revision, a summary.",
        ),
    ] = False,
    bootstrap_servers: KafkaOption = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Replays; see `_HELP`."""
    from collector.errors import UsageError

    own = {"kafka": {"bootstrap_servers": bootstrap_servers}}
    settings = load_settings(config, own | {"database": database_override(database_url)})
    names, stop = policies or [], stop_on_signals()
    if topic is not None:
        if since is not None or until is not None or names:
            raise UsageError("--topic reads offsets again: no policy, --since or --until with it")
        if partition is None or from_offset is None:
            raise UsageError("--topic needs --partition and --from-offset")
        _read_again(
            settings, Offsets(topic, partition, from_offset, to_offset, dry_run, as_json), stop
        )
        return
    if dry_run or (partition, from_offset, to_offset) != (None, None, None):
        raise UsageError("say --topic, too, to read offsets again")
    if since is None:
        raise UsageError("say --since, or --topic, --partition and --from-offset")
    with existing(settings) as engine:
        span_at = partial(_span, since, until)
        _settle(settings, engine, names, span_at, stop, as_json=as_json)


def _read_again(settings: Settings, asked: Offsets, stop: Event) -> None:
    """Reads offsets again, and settles what they touch."""
    with existing(settings) as engine:
        span = replay_offsets(settings, engine, asked, stop)
        if span is not None:
            _settle(settings, engine, [], lambda _: span, stop, as_json=asked.as_json)


def _settle(
    settings: Settings,
    engine: Engine,
    names: list[str],
    span_at: Callable[[int], Span],
    stop: Event,
    *,
    as_json: bool,
) -> None:
    """Settles a range again, by the database's time, and prints what changed."""
    from verifier import app

    begun_us, span, queued = _begin(engine, names, span_at)
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
        raise typer.Exit(INTERRUPTED)


class Asked(NamedTuple):
    """What is to be settled again, and how many windows that is; no policies: all."""

    policies: list[str]
    span: Span
    windows: int


def _span(since: str, until: str | None, now_us: int) -> Span:
    """What the options mean at a time. Raises UsageError."""
    from verifier.settle.windows import Span
    from verifier.times import read_moment

    until_us = now_us if until is None else read_moment("--until", until, now_us)
    return Span(read_moment("--since", since, now_us), until_us)


def _begin(
    engine: Engine, policies: list[str], span_at: Callable[[int], Span]
) -> tuple[int, Span, int]:
    """Queues the windows; returns the database's time, the span, and how many windows."""
    from collector.db.engine import writing
    from verifier.settle.lease import database_now_us
    from verifier.settle.replay import enqueue_range

    with writing(engine) as connection:
        now_us = database_now_us(connection)
        span = span_at(now_us)
        queued = enqueue_range(connection, policies, span)
    return now_us, span, queued


def _drain(engine: Engine, verifier: Verifier, asked: Asked, stop: Event) -> int:
    """Settles until none of the windows waits, or lets who has the lease do it.

    Returns:
        How many wait still: it was interrupted. Each window is settled whole or not at all.
    """
    from collector.db.engine import reading
    from verifier.settle.replay import waiting

    with progress(asked.windows, "windows", "settling again", "settled again") as show:
        while True:
            with reading(engine) as connection:
                left = waiting(connection, asked.policies, asked.span)
            show(max(0, asked.windows - left))
            if not left or stop.is_set():
                return left
            if verifier.turn() is None:
                stop.wait(_LOOK_AGAIN_S)


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
