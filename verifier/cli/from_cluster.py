"""`mirrorproof policy from-cluster`: what would be read from a cluster, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from verifier.cli.collect import ConfigOption, load_settings

if TYPE_CHECKING:
    from collector.settings import Settings
    from verifier.cluster.board import Board
    from verifier.cluster.desired import Desired

_HELP: Final = """Shows what would be read from a cluster: policies, remarks, what cannot be read.

Asks the API server once and writes nothing. `verify` and `up` keep up with it where the setting
[b]cluster.enabled[/b] is on. Policies without a mirror, and without a host that a mirrored one has,
are counted, not listed: nothing of them is stored.

Exit status: 0 all is read, 1 something cannot be read, or a remark is an error, 2 the API server
cannot be asked.

[b]Examples[/b]

  mirrorproof policy from-cluster --kubeconfig ~/.kube/config --namespace weather

  mirrorproof policy from-cluster --config settings.toml --json
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("from-cluster", help=_HELP)(from_cluster)


def from_cluster(
    namespace: Annotated[
        list[str] | None, typer.Option(help="Namespace to look into; repeatable. Else: all.")
    ] = None,
    selector: Annotated[
        str | None, typer.Option(help="Labels of the VirtualServices and HTTPRoutes to take.")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Else: the pod's service account.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Of the kubeconfig.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigOption = None,
) -> None:
    """Runs the command."""
    from verifier.cluster.desired import desired
    from verifier.policies.lint import lint

    given = {"namespaces": ",".join(namespace) if namespace else None, "selector": selector}
    reach = {"kubeconfig": kubeconfig, "context": context}
    board, missing = _look(load_settings(config, {"cluster": {**given, **reach}}))
    found = desired(board.see().resources)
    remarks = lint(found.policies) if found.policies else []
    refused = {**found.refused, **board.see().broken, **missing}
    if as_json:
        typer.echo(json.dumps(_document(found, remarks, refused, board), ensure_ascii=False))
    else:
        _print(found, remarks, refused, board)
    if refused or any(one.severity == "error" for one in remarks):
        raise typer.Exit(1)


def _look(settings: Settings) -> tuple[Board, dict[str, str]]:
    """Lists all places once; what may not be listed, or is not known there, by its name.

    Raises:
        Retryable: The API server does not answer.
        UsageError: Nothing says how to reach it.
    """
    from collector.clock import SystemClock
    from verifier.cluster.api import NotAllowed, NotInstalled
    from verifier.cluster.app import rules_of, server_of
    from verifier.cluster.board import Board, places
    from verifier.cluster.reflector import Reflector
    from verifier.cluster.resources import HTTP_ROUTE

    own = settings.cluster
    followed, server = places(own.namespaces, pods=own.pods), server_of(own)
    board, missing = Board(followed), {}
    for place in followed:
        try:
            Reflector(server, place, board, rules_of(settings), SystemClock()).list_all()
        except (NotAllowed, NotInstalled) as error:
            if not (isinstance(error, NotInstalled) and place.kind == HTTP_ROUTE):
                missing[str(place)] = str(error)
    return board, missing


def _document(
    found: Desired, remarks: list[Any], refused: dict[str, str], board: Board
) -> dict[str, Any]:
    import msgspec

    return {
        "policies": msgspec.to_builtins(found.policies),
        "lint": msgspec.to_builtins(remarks),
        "refused": refused,
        "without_mirror": found.others,
        "objects": board.counts(),
    }


def _print(found: Desired, remarks: list[Any], refused: dict[str, str], board: Board) -> None:
    from verifier.cli.policy import summary
    from verifier.cluster.words import named

    for policy in found.policies:
        typer.echo(f"{policy.resource}  {summary(policy)}")
    for one in remarks:
        typer.echo(f"{one.severity}: {one.where}: {one.message}; {one.advice} [{one.code}]")
    for title, words in refused.items():
        typer.echo(f"cannot be read: {named(title, words)}")
    counts = ", ".join(f"{number} {kind}" for kind, number in board.counts().items())
    typer.echo(
        f"{len(found.policies)} policies, {found.others} more without a mirror; of {counts}",
        err=True,
    )
