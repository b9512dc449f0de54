"""`mirrorproof gate`: may the release go on?"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from verifier.cli.check import EXIT_STATUS
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from verifier.gate import Asked
    from verifier.pairing.statement import Ruling
    from verifier.settle.report import Totals

_HELP: Final = """Says whether the mirroring of a policy is proven in the live database.

For release pipelines: every window since a time counts by its latest revision. Too few requests,
or windows that are not settled yet, prove nothing. With --wait it answers as soon as all up to now
is settled and proven, or anything is violated.

Exit status: 0 proven, 1 violated, 2 wrong usage or database, 3 not proven.

[b]Examples[/b]

  mirrorproof gate weather/forecast-route --since 1h --min-requests 1000

  mirrorproof gate weather/forecast-route --since 15m --wait 10m --json
"""
_LOOK_AGAIN_S: Final = 1.0

Answer = tuple["Totals", "Ruling"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("gate", help=_HELP)(gate_command)


def gate_command(
    policy: Annotated[str, typer.Argument(help="Name of the policy, NAMESPACE/NAME.")],
    since: Annotated[
        str, typer.Option(metavar="1h|TIME", help="How far back, or from when.")
    ] = "1h",
    min_requests: Annotated[int, typer.Option(min=0, help="Fewer prove nothing.")] = 1,
    wait: Annotated[
        str | None, typer.Option(metavar="10m", help="Wait for the proof, at most so long.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Most findings, with --json.")] = 100,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Answers; see `_HELP`."""
    from collector.db.engine import reading
    from verifier import gate
    from verifier.settle.lease import database_now_us
    from verifier.times import read_duration, read_moment

    wait_us = 0 if wait is None else read_duration("--wait", wait)
    with existing_database(database_url, config) as engine:
        with reading(engine) as connection:
            now_us = database_now_us(connection)
        asked = gate.Asked(
            policy=policy,
            since_us=read_moment("--since", since, now_us),
            settled_to_us=now_us if wait_us else now_us - gate.MAX_LAG_US,
            min_requests=min_requests,
        )
        found, ruling = _wait_for(engine, asked, wait_us / 1e6)
        if as_json:
            with reading(engine) as connection:
                typer.echo(json.dumps(gate.to_json(connection, found, ruling, limit)))
        else:
            _show(found, ruling)
    raise typer.Exit(EXIT_STATUS[ruling.statement])


def _wait_for(engine: Engine, asked: Asked, seconds: float) -> Answer:
    """Looks until there is an answer, or the time is over."""
    from collector.db.engine import reading
    from verifier.gate import look
    from verifier.pairing.statement import Statement

    give_up_s = time.monotonic() + seconds
    with _status(wanted=seconds > 0) as say:
        while True:
            with reading(engine) as connection:
                found, ruling = look(connection, asked)
            say(f"{found.requests} requests: {ruling.reason}")
            left_s = give_up_s - time.monotonic()
            if ruling.statement is not Statement.NOT_PROVEN or left_s <= 0:
                return found, ruling
            time.sleep(min(_LOOK_AGAIN_S, left_s))


@contextmanager
def _status(*, wanted: bool) -> Iterator[Callable[[str], None]]:
    """What is known by now, on standard error when it is a terminal."""
    if not wanted or not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("looking") as status:
        yield lambda text: status.update(Text(f"waiting for the proof, {text}"))


def _show(found: Totals, ruling: Ruling) -> None:
    """The answer for people."""
    from rich.console import Console
    from rich.text import Text

    from verifier.check.screen import STYLES, words
    from verifier.times import iso_time

    console = Console()
    if found.since_us is not None and found.until_us is not None:
        span = f"{iso_time(found.since_us)} to {iso_time(found.until_us)}"
        counted = f"{found.requests} requests in {found.windows} windows"
        console.print(f"{counted}, {span}", soft_wrap=True)
    for verdict, count in found.verdicts.items():
        if count:
            console.print(f"  {verdict:14}  {count}", highlight=False)
    console.print(Text(f"{found.policy}: {ruling.reason}"), soft_wrap=True)
    console.print(Text(words(ruling.statement).upper(), style=STYLES[ruling.statement]))
