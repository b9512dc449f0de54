"""`mirrorproof alert`: whom drift is told, whether it arrives, and a test of it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from collector.errors import MirrorproofError, UsageError
from verifier.cli.collect import ConfigOption, DatabaseOption, database_override, load_settings
from verifier.cli.database import existing, existing_database
from verifier.cli.printing import printable
from verifier.times import iso_time

if TYPE_CHECKING:
    from collector.settings import Settings
    from verifier.alerts.endpoints import Endpoint
    from verifier.alerts.outcome import Result
    from verifier.alerts.registry import EndpointState

_HELP: Final = "Shows and tries whom drift is told."
_LIST_HELP: Final = """Lists the endpoints of the database: state, backlog, last outcome.

Addresses and secrets are never shown.

[b]Example[/b]

  mirrorproof alert list --json
"""
_TEST_HELP: Final = """Sends a test event to an endpoint, and its resolution, and tells the outcome.

Both are marked as a test. Endpoints of the settings need no database; others are looked up there.

Exit status: 0 both were accepted, 1 one was not, 2 wrong usage.

[b]Example[/b]

  mirrorproof alert test pager --config mirrorproof.toml
"""
_ENABLE_HELP: Final = """Sends to an endpoint again what happens from now on.

[b]Example[/b]

  mirrorproof alert enable pager
"""
_DISABLE_HELP: Final = """Sends nothing more to an endpoint; what waits for it is dropped.

[b]Example[/b]

  mirrorproof alert disable pager --reason "moved to another service"
"""
_REMOVE_HELP: Final = """Forgets an endpoint that is no longer in the settings.

[b]Example[/b]

  mirrorproof alert remove pager
"""
NameArgument = Annotated[str, typer.Argument(metavar="ENDPOINT", help="As `alert list` shows it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    group.command("list", help=_LIST_HELP)(list_command)
    group.command("test", help=_TEST_HELP)(try_command)
    group.command("enable", help=_ENABLE_HELP)(enable_command)
    group.command("disable", help=_DISABLE_HELP)(disable_command)
    group.command("remove", help=_REMOVE_HELP)(remove_command)
    app.add_typer(group, name="alert")


def list_command(
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lists; see `_LIST_HELP`."""
    from collector.db.engine import reading
    from verifier.alerts.registry import states
    from verifier.alerts.show import state_json
    from verifier.settle.lease import database_now_us

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        found, now_us = states(connection), database_now_us(connection)
    if as_json:
        typer.echo(json.dumps({"endpoints": [state_json(one) for one in found]}))
        return
    for one in found:
        typer.echo(printable(_line(one, now_us)))
    if not found:
        typer.echo("no endpoints; see alerts.endpoints in the settings, and start a verifier")


def try_command(
    name: NameArgument,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sends; see `_TEST_HELP`."""
    from collector.clock import SystemClock
    from verifier.alerts.lines import Lines
    from verifier.alerts.outcome import Outcome
    from verifier.alerts.senders import Senders
    from verifier.alerts.trial import trial_events

    settings = load_settings(config, {"database": database_override(database_url)})
    endpoint = _find(settings, name)
    own, clock = settings.alerts, SystemClock()
    send = Senders(clock, Lines(), source=own.source, external_url=own.external_url).sender(
        endpoint
    )
    results = []
    for event in trial_events(clock.now_us()):
        begun_s = time.monotonic()
        result = send(event)
        results.append((event.status.value, result, time.monotonic() - begun_s))
    if as_json:
        typer.echo(json.dumps({"endpoint": name, "sent": [_sent_json(*one) for one in results]}))
    else:
        for status, result, took_s in results:
            line = f"{status}: {result.outcome}: {result.reason} ({took_s:.1f} s)"
            typer.echo(printable(line), err=endpoint.form == "stdout")
    if any(result.outcome is not Outcome.DELIVERED for _, result, _ in results):
        raise typer.Exit(1)


def enable_command(
    name: NameArgument, database_url: DatabaseOption = None, config: ConfigOption = None
) -> None:
    """Enables; see `_ENABLE_HELP`."""
    from collector.db.engine import writing
    from verifier.alerts import registry

    with existing_database(database_url, config) as engine, writing(engine) as connection:
        registry.enable(connection, name)
    typer.echo(f"{name} gets what happens from now on")


def disable_command(
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "by hand",
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Disables; see `_DISABLE_HELP`."""
    from collector.db.engine import writing
    from verifier.alerts import registry
    from verifier.settle.lease import database_now_us

    with existing_database(database_url, config) as engine, writing(engine) as connection:
        dropped = registry.disable(connection, name, reason, database_now_us(connection))
    typer.echo(f"{name} gets nothing more; {dropped} messages dropped")


def remove_command(
    name: NameArgument, database_url: DatabaseOption = None, config: ConfigOption = None
) -> None:
    """Removes; see `_REMOVE_HELP`."""
    from collector.db.engine import writing
    from verifier.alerts import registry
    from verifier.alerts.endpoints import all_of_settings
    from verifier.settle.lease import database_now_us

    settings = load_settings(config, {"database": database_override(database_url)})
    if any(one.name == name for one in all_of_settings(settings.alerts.endpoints)):
        raise UsageError(f"{name} is in the settings; take it out there first")
    with existing(settings) as engine, writing(engine) as connection:
        dropped = registry.remove(connection, name, database_now_us(connection))
    typer.echo(f"{name} is forgotten; {dropped} messages dropped")


def _find(settings: Settings, name: str) -> Endpoint:
    """An endpoint of the settings, or of the API. Raises UsageError."""
    from collector.db.engine import reading
    from verifier.alerts.added import added
    from verifier.alerts.endpoints import all_of_settings
    from verifier.alerts.vault import vault_of

    vault, closed = vault_of(settings.alerts), dict[str, str]()
    known = {one.name: one for one in all_of_settings(settings.alerts.endpoints)}
    if name not in known:
        with (
            suppress(MirrorproofError),
            existing(settings) as engine,
            reading(engine) as connection,
        ):
            found = added(connection, vault)
            known |= {one.name: one for one in found.endpoints}
            closed = found.closed
    if name in closed:
        raise UsageError(f"endpoint {name!r}: {closed[name]}")
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise UsageError(f"there is no endpoint {name!r}; known here: {names}")
    return known[name]


def _sent_json(status: str, result: Result, took_s: float) -> dict[str, Any]:
    return {
        "event": status,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "status": result.status,
        "seconds": round(took_s, 3),
    }


def _line(state: EndpointState, now_us: int) -> str:
    """An endpoint for people."""
    parts = [f"{state.name}  {state.form}"]
    if state.disabled_us is not None:
        parts.append(f"disabled {iso_time(state.disabled_us)}: {state.disabled_reason}")
    elif (state.hold_us or 0) > now_us:
        parts.append(f"rests until {iso_time(state.hold_us or 0)}, {state.failures} failures")
    elif state.failures:
        parts.append(f"failing, {state.failures} in a row")
    else:
        parts.append("enabled")
    if state.oldest_us is not None:
        parts.append(f"{state.pending} waiting, the oldest since {iso_time(state.oldest_us)}")
    parts.append(f"{state.delivered} delivered")
    if state.dead:
        parts.append(f"{state.dead} given up")
    if state.last_attempt_us is not None:
        parts.append(f"last {iso_time(state.last_attempt_us)}: {state.last_reason}")
    return "  ".join(parts)
