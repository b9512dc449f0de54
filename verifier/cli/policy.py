"""`mirrorproof policy`: look at policies before they judge anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collector.observation import Destination
    from verifier.policies.model import Policy

_HELP: Final = "Reads, shows and lints policies."
_LINT_HELP: Final = """Reads policies, shows what they mean, and names what looks wrong.

Exit status: 0 nothing wrong (notes and warnings allowed), 1 errors, 2 unreadable.

[b]Examples[/b]

  mirrorproof policy lint virtualservice.yaml destinationrule.yaml

  kubectl get vs,dr -A -o yaml > mesh.yaml; mirrorproof policy lint --json mesh.yaml
"""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    policy = typer.Typer(help=_HELP, no_args_is_help=True)
    policy.callback()(_policy)
    policy.command("lint", help=_LINT_HELP)(lint_command)
    app.add_typer(policy, name="policy")


def _policy() -> None:
    """Keeps `lint` a command of its own although it is the only one."""


def lint_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML or JSON.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Lints policies; see `_LINT_HELP`."""
    import msgspec

    from verifier.policies.lint import lint
    from verifier.policies.read import read_policies

    policies = read_policies(files)
    found = lint(policies)
    if as_json:
        document = {"policies": msgspec.to_builtins(policies), "lint": msgspec.to_builtins(found)}
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        for policy in policies:
            typer.echo(_summary(policy))
        for problem in found:
            typer.echo(f"{problem.severity}: {problem.where}: {problem.message} [{problem.code}]")
    if any(problem.severity == "error" for problem in found):
        raise typer.Exit(1)


def _summary(policy: Policy) -> str:
    """One line for a policy."""
    live = ", ".join(_name(weighted.destination) for weighted in policy.live)
    mirrors = ", ".join(f"{_name(m.destination)} {m.percent:g} %" for m in policy.mirrors)
    return f"{policy.name}: live {live or 'none'}; mirror {mirrors or 'none'}"


def _name(destination: Destination) -> str:
    subset = f" {destination.subset}" if destination.subset else ""
    return f"{destination.host}{subset}"
