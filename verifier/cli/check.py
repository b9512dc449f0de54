"""`mirrorproof check`: judge log files, offline."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from verifier.cli.format import FormatOption, formats_of
from verifier.pairing.statement import Statement

if TYPE_CHECKING:
    from verifier.check.run import Progress

EXIT_STATUS: Final = {Statement.PROVEN: 0, Statement.VIOLATED: 1, Statement.NOT_PROVEN: 3}
_PROGRESS_BYTES: Final = 32 * 1024 * 1024  # smaller inputs take a second

_HELP = """Judges log files: has every request its mirrored copy?

LOG is a file of lines in any known shape, [b]-[/b] for standard input, or POD=FILE. A pod named in
a shipper's envelope wins; a bare file called POD.log names its pod. Naming a file says that this
pod's log is complete, also when it is empty.

Exit status: 0 proven, 1 violated, 2 wrong usage or unreadable input, 3 not proven.

[b]Examples[/b]

  mirrorproof check --policy vs.yaml forecast-v1-5d8f9b7c6-abcde.log forecast-v2-7b9c4d5e8-klmno.log

  kubectl logs POD -c istio-proxy | mirrorproof check --policy vs.yaml POD=- forecast-v1-x.log

  mirrorproof check --policy vs.yaml --json fluent-bit-dump.json

  mirrorproof check --policy vs.yaml --access-log-format @mesh.yaml POD=access.log
"""


@contextmanager
def _progress(*, wanted: bool) -> Iterator[Progress]:
    """A progress bar on standard error, when it is a terminal and the work is long."""
    if not wanted or not sys.stderr.isatty():
        yield lambda _stage, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = {stage: bar.add_task(stage, total=None) for stage in ("reading", "judging")}

        def tell(stage: str, done: int, total: int) -> None:
            bar.update(tasks[stage], completed=done, total=total)

        yield tell


def _is_long(logs: list[str]) -> bool:
    """Whether the files are large enough for a progress bar."""
    paths = [Path(log.partition("=")[2] or log) for log in logs]
    return sum(path.stat().st_size for path in paths if path.is_file()) > _PROGRESS_BYTES


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("check", help=_HELP)(check_command)


def check_command(
    logs: Annotated[list[str], typer.Argument(metavar="LOG…", help="FILE, - or POD=FILE.")],
    policy: Annotated[
        list[Path],
        typer.Option(help="VirtualService, DestinationRule or short form; may be repeated."),
    ],
    assume_complete: Annotated[
        bool,
        typer.Option(help="A named log is complete; else only between its first and last lines."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Most findings of a policy.")] = 100,
    access_log_format: FormatOption = None,
) -> None:
    """Judges log files; see `_HELP`."""
    from rich.console import Console

    from verifier.check import report, screen
    from verifier.check.run import check
    from verifier.policies.read import read_policies

    policies = read_policies(policy)
    with (
        _progress(wanted=_is_long(logs)) as progress,
        check(
            policies,
            logs,
            assume_complete=assume_complete,
            limit=limit,
            formats=formats_of(access_log_format),
            progress=progress,
        ) as outcome,
    ):
        found = report.results(outcome)
        for refused in report.refused_lines(outcome):
            typer.echo(refused, err=True)
        if as_json:
            typer.echo(json.dumps(report.to_json(outcome, found), ensure_ascii=False))
        else:
            screen.show(Console(), outcome, found, limit)
    raise typer.Exit(EXIT_STATUS[report.overall(found)])
