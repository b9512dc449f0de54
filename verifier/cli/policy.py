"""`mirrorproof policy`: look at policies before they judge anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from verifier.cli import from_cluster
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.observation import Destination
    from verifier.policies.model import Lint, Policy

_HELP: Final = "Reads, lints, records and lists policies."
_LINT_HELP: Final = """Reads policies, shows what they mean, names what looks wrong and what to do.

Each remark has a stable code and a severity: an error (no copy is made, or none can be told), a
warning (probably not what was meant) or a note. With --database-url also what lines show: mirrors
whose pods log nothing, marks of copies that changed. With --istio-version what that version makes
of them.

Exit status: 0 nothing wrong (notes and warnings allowed), 1 errors, 2 unreadable.

[b]Examples[/b]

  mirrorproof policy lint virtualservice.yaml destinationrule.yaml

  kubectl get vs,dr -A -o yaml > mesh.yaml; mirrorproof policy lint --json mesh.yaml

  mirrorproof policy lint --istio-version 1.28 --database-url sqlite:///mirrorproof.db vs.yaml
"""
_MARKERS_HELP: Final = """Shows what tells copies from live requests, and when that changed.

Verdicts do not depend on it. In order of trust: a field of yours, the authority's suffix -shadow,
which Istio 1.28 no longer adds, one more address in X-Forwarded-For, else the policy alone.

Exit status: 0 nothing changed since then, 1 something did, 2 wrong usage or database.

[b]Example[/b]

  mirrorproof policy markers --since 7d
"""

_RECORD_HELP: Final = """Records policies in the database: new ones, and changed ones anew.

The option --policy of other commands does the same. A version judges requests from when it holds:
from now on, or since ever for the first of its name. A change counts once every live collector
watches it (one that was not seen for a minute is dead); until then, and for [b]change_grace[/b]
(5 s) after, requests are exempt, as proxies learn of it one by one. Of hosts that nobody watched
before, lines are stored only from then on; what lacks earlier is unverifiable. To correct the past,
record the right one with --valid-from, then settle again with [b]replay[/b].

Exit status: 0 done, 2 wrong usage, file or database.

[b]Examples[/b]

  mirrorproof policy record virtualservice.yaml

  mirrorproof policy record --valid-from 2026-11-22T10:00:00Z virtualservice.yaml
"""
_LIST_HELP: Final = """Shows the recorded versions of all policies: what each says, and when.

[b]Example[/b]

  mirrorproof policy list --json
"""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    policy = typer.Typer(help=_HELP, no_args_is_help=True)
    policy.command("lint", help=_LINT_HELP)(lint_command)
    policy.command("record", help=_RECORD_HELP)(record_command)
    policy.command("list", help=_LIST_HELP)(list_command)
    policy.command("markers", help=_MARKERS_HELP)(markers_command)
    from_cluster.register(policy)
    app.add_typer(policy, name="policy")


def lint_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML or JSON.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    istio_version: Annotated[
        str | None, typer.Option(metavar="1.28", help="The mesh's version, where it is known.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Look at what collectors stored, too.")
    ] = None,
) -> None:
    """Lints policies; see `_LINT_HELP`."""
    import msgspec

    from verifier.policies.istio_versions import read_version
    from verifier.policies.lint import in_order, lint
    from verifier.policies.read import read_policies

    istio = None if istio_version is None else read_version("--istio-version", istio_version)
    policies = read_policies(files, strict=False)
    found = lint(policies, istio)
    if database_url is not None:
        found = in_order([*found, *_from_database(database_url, policies)])
    if as_json:
        document = {"policies": msgspec.to_builtins(policies), "lint": msgspec.to_builtins(found)}
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        for policy in policies:
            typer.echo(summary(policy))
        for one in found:
            typer.echo(f"{one.severity}: {one.where}: {one.message}; {one.advice} [{one.code}]")
    if any(problem.severity == "error" for problem in found):
        raise typer.Exit(1)


def _from_database(url: str, policies: Sequence[Policy]) -> list[Lint]:
    """What stored lines and verdicts say about policies."""
    from collector.db.engine import reading
    from verifier.policy_files.evidence import evidence_lints
    from verifier.settle.lease import database_now_us

    with existing_database(url, None) as engine, reading(engine) as connection:
        return evidence_lints(connection, policies, database_now_us(connection))


def markers_command(
    since: Annotated[str, typer.Option(metavar="7d|TIME", help="From when.")] = "7d",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Shows marks; see `_MARKERS_HELP`."""
    import msgspec

    from collector.db.engine import reading
    from verifier.settle.lease import database_now_us
    from verifier.settle.markers import changes, told
    from verifier.times import iso_time, read_moment

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        since_us = read_moment("--since", since, database_now_us(connection))
        found, changed = told(connection, since_us), changes(connection, since_us)
    if as_json:
        known = {"told": msgspec.to_builtins(found), "changes": msgspec.to_builtins(changed)}
        typer.echo(json.dumps(known))
    else:
        for one in found:
            shares = ", ".join(f"{mark} {number}" for mark, number in one.copies.items())
            typer.echo(f"{one.policy}  copies told by: {shares}")
        for change in changed:
            moved = f"{change.before} until then, {change.after} since"
            typer.echo(f"{change.policy}  changed at {iso_time(change.start_us)}: {moved}")
        if not found:
            typer.echo("no copy was settled in that time")
    if changed:
        raise typer.Exit(1)


def record_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML or JSON.")],
    valid_from: Annotated[
        str | None,
        typer.Option(metavar="2h|TIME", help="From when they hold; left out: from now on."),
    ] = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Records policies; see `_RECORD_HELP`."""
    import msgspec

    from collector.db.engine import writing
    from collector.db.policies import record_versions
    from verifier.policies.read import read_policies
    from verifier.policies.stored import to_record
    from verifier.settle.lease import database_now_us
    from verifier.times import read_moment

    policies = read_policies(files)
    with existing_database(database_url, config) as engine, writing(engine) as connection:
        now_us = database_now_us(connection)
        if valid_from is not None:
            from_us = read_moment("--valid-from", valid_from, now_us)
            policies = tuple(
                msgspec.structs.replace(one, valid_from_us=from_us) for one in policies
            )
        made = record_versions(connection, [to_record(one) for one in policies], now_us)
    typer.echo(f"{len(policies)} policies read, {len(made)} new versions recorded")


def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:
    """Lists versions; see `_LIST_HELP`."""
    import msgspec

    from collector.db.engine import reading
    from verifier.policy_files.declared import troubles
    from verifier.settle.versions import recorded
    from verifier.times import iso_time

    with existing_database(database_url, config) as engine, reading(engine) as connection:
        versions, wrong = recorded(connection), troubles(connection)
    for words in wrong:
        typer.echo(f"not all is read, what was said before holds: {words}", err=True)
    for one in versions:
        begin, end = _time(one.valid_from_us), _time(one.valid_to_us)
        if as_json:
            known = {"version": one.id, "valid_from": begin, "valid_to": end}
            known["recorded"] = iso_time(one.recorded_us)
            known["acknowledged"] = _time(one.acknowledged_us)
            known["stored_from"] = _time(one.stored_from_us)
            typer.echo(json.dumps(known | {"policy": msgspec.to_builtins(one.policy)}))
        else:
            span = f"{begin or 'since ever'} to {end or 'now'}"
            typer.echo(f"version {one.id}, {span}, recorded {iso_time(one.recorded_us)}")
            if one.acknowledged_us is None:
                typer.echo("  not in force yet: not every live collector watches it")
            elif one.stored_from_us is not None:
                typer.echo(f"  lines of its hosts are stored from {iso_time(one.stored_from_us)}")
            typer.echo(f"  {summary(one.policy)}")


def _time(time_us: int | None) -> str | None:
    from verifier.times import iso_time

    return None if time_us is None else iso_time(time_us)


def summary(policy: Policy) -> str:
    """One line for a policy."""
    live = ", ".join(_name(weighted.destination) for weighted in policy.live)
    mirrors = ", ".join(f"{_name(m.destination)} {m.percent:g} %" for m in policy.mirrors)
    return f"{policy.name}: live {live or 'none'}; mirror {mirrors or 'none'}"


def _name(destination: Destination) -> str:
    subset = f" {destination.subset}" if destination.subset else ""
    return f"{destination.host}{subset}"
