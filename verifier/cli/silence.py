"""`mirrorproof silence`: what nobody is to be told of for a time, with a reason and an end."""

from __future__ import annotations

import getpass
import json
from typing import Annotated, Final

import typer

from collector.errors import UsageError
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database
from verifier.cli.incidents import KindOption, PolicyOption, read_kind, read_policy
from verifier.cli.printing import printable

_HELP: Final = "Holds notifications back for a time; incidents are followed all the same."
_ADD_HELP: Final = """Holds back notifications of a policy, a kind, or both.

What is open when the silence ends is told then; what was told before it is taken back also within
it.

[b]Examples[/b]

  mirrorproof silence add --policy weather/forecast --for 2h --reason "v1 is rebuilt"

  mirrorproof silence add --policy pipeline --kind stalled --for 1d --reason "INC-812" --author kim
"""
_LIST_HELP: Final = """Lists silences in force, the newest first; all with --all.

[b]Example[/b]

  mirrorproof silence list --all
"""
_END_HELP: Final = """Ends a silence now.

[b]Example[/b]

  mirrorproof silence end 3
"""
_MAX_TEXT: Final = 1_000

AuthorOption = Annotated[str | None, typer.Option(help="Who asks for it; left out: the user.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a silence, a line.")]


def add_command(
    reason: Annotated[str, typer.Option(help="Why, for those who wonder.")],
    lasts: Annotated[str, typer.Option("--for", metavar="DURATION", help="30m, 2h, 1d; ≤ 90d.")],
    policy: PolicyOption = None,
    kind: KindOption = None,
    author: AuthorOption = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Runs the command."""
    from collector.db.engine import writing
    from verifier.incidents.store import LONGEST_SILENCE_US, add_silence
    from verifier.settle.lease import database_now_us
    from verifier.times import iso_time, read_duration

    lasts_us = read_duration("--for", lasts)
    if not 0 < lasts_us <= LONGEST_SILENCE_US:
        msg = f"--for must be above 0 and at most 90d; is {lasts}"
        raise UsageError(msg)
    said = {"reason": _text("--reason", reason), "author": _author(author)}
    of_kind = read_kind(kind)
    of = {"policy": read_policy(policy), "kind": None if of_kind is None else of_kind.value}
    with existing_database(database_url, config) as engine, writing(engine) as connection:
        now_us = database_now_us(connection)
        values = {**of, **said, "from_us": now_us, "until_us": now_us + lasts_us}
        number = add_silence(connection, values)
    typer.echo(f"silence {number} until {iso_time(now_us + lasts_us)}")


def list_command(
    all_of_them: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: JsonOption = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Runs the command."""
    from collector.db.engine import reading
    from verifier.incidents import show
    from verifier.incidents.store import silences
    from verifier.settle.lease import database_now_us

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        now_us = database_now_us(connection)
        found = silences(connection, None if all_of_them else now_us)
    for one in found:
        if as_json:
            typer.echo(json.dumps(show.silence_json(one), ensure_ascii=False))
        else:
            typer.echo(printable(show.silence_line(one, now_us)))
    if not found and not as_json:
        typer.echo("no silence")


def end_command(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="As `silence list` says.")],
    author: AuthorOption = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Runs the command."""
    from collector.db.engine import writing
    from verifier.incidents.store import end_silence
    from verifier.settle.lease import database_now_us

    with existing_database(database_url, config) as engine, writing(engine) as connection:
        done = end_silence(connection, number, _author(author), database_now_us(connection))
    if not done:
        msg = f"there is no silence {number} in force; see `mirrorproof silence list`"
        raise UsageError(msg)
    typer.echo(f"silence {number} ended")


def _author(given: str | None) -> str:
    """Who asks: as given, else the user of this process."""
    if given is not None:
        return _text("--author", given)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("give --author: this process's user has no name") from None


def _text(name: str, given: str) -> str:
    text = given.strip()
    if not text or len(text) > _MAX_TEXT or not text.isprintable():
        msg = f"{name} must be 1 to {_MAX_TEXT} printable characters"
        raise UsageError(msg)
    return text


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    group.command("add", help=_ADD_HELP)(add_command)
    group.command("list", help=_LIST_HELP)(list_command)
    group.command("end", help=_END_HELP)(end_command)
    app.add_typer(group, name="silence")
