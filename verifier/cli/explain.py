"""`mirrorproof explain`: why one request got its verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.errors import UsageError
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database
from verifier.cli.format import FormatOption, formats_of

if TYPE_CHECKING:
    from rich.console import Console

    from collector.formats.parse import Format
    from verifier.explain import Story
    from verifier.settle.lookup import Explained, Told

_HELP: Final = """Shows every line of one request id, how they were judged together, and why.

From files like [b]check[/b], or from the database of the live pipeline. An id may stand for several
requests: a page that calls twice, a retry, a client that chose it.

Lines are kept for a time (MIRRORPROOF_RETENTION__LINES_DAYS), findings with their lines longer.
What is left of a request is shown and not judged again.

Exit status: 0 found, 2 wrong usage or unreadable input, 3 no line or finding has this id.

[b]Examples[/b]

  mirrorproof explain 46ce024f-97b3-4a45-8f73-2d4ef365608d --policy vs.yaml *.log

  mirrorproof explain 46ce024f-97b3-4a45-8f73-2d4ef365608d --database-url sqlite:///mirrorproof.db
"""
_NOT_FOUND: Final = 3


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("explain", help=_HELP)(explain_command)


def explain_command(
    request_id: Annotated[str, typer.Argument(help="As it stands in the log.")],
    logs: Annotated[
        list[str] | None, typer.Argument(metavar="[LOG]…", help="FILE, - or POD=FILE.")
    ] = None,
    policy: Annotated[
        list[Path] | None, typer.Option(help="Policies, for files; may be repeated.")
    ] = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
    assume_complete: Annotated[
        bool, typer.Option(help="A named log is complete; else only what it shows.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    access_log_format: FormatOption = None,
) -> None:
    """Explains one request; see `_HELP`."""
    if logs and database_url:
        msg = "explain: give either LOG files with --policy, or --database-url"
        raise UsageError(msg)
    request_id = request_id.encode("utf-8", "replace").decode()  # arguments may hold any bytes
    if logs or policy:
        found = _explain_files(
            policy,
            logs or [],
            request_id,
            assume_complete=assume_complete,
            formats=formats_of(access_log_format),
        )
    else:
        found = _explain_stored(database_url, config, request_id)
    _print(request_id, found, as_json=as_json)
    if not found.stories and not found.findings:
        raise typer.Exit(_NOT_FOUND)


def _explain_stored(database_url: str | None, config: Path | None, request_id: str) -> Explained:
    from verifier.settle.lookup import explain_stored

    with existing_database(database_url, config) as engine:
        return explain_stored(engine, request_id)


def _explain_files(
    policy: list[Path] | None,
    logs: list[str],
    request_id: str,
    *,
    assume_complete: bool,
    formats: list[Format],
) -> Explained:
    from verifier.check.lookup import explain_files
    from verifier.policies.read import read_policies
    from verifier.settle.lookup import Explained

    if not policy or not logs:
        msg = "explain: files need --policy FILE, the routes to judge them by"
        raise UsageError(msg)
    stories = explain_files(
        read_policies(policy),
        logs,
        request_id,
        assume_complete=assume_complete,
        formats=formats,
    )
    return Explained(stories, [], None)


def _print(request_id: str, found: Explained, *, as_json: bool) -> None:
    import msgspec

    if as_json:
        document = {
            "request_id": request_id,
            "episodes": msgspec.to_builtins(found.stories),
            "findings": msgspec.to_builtins(found.findings),
            "lines_kept_from": found.lines_kept_from,
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console()
    if not found.stories:
        typer.echo(f"no line has the request id {request_id}{_dropped(found)}", err=True)
    for story in found.stories:
        _show(console, story)
    if not all(story.verdicts for story in found.stories) or not found.stories:
        for told in found.findings:
            _show_finding(console, told)


def _dropped(found: Explained) -> str:
    if found.lines_kept_from is None:
        return ""
    return f"; lines from before {found.lines_kept_from} may be no longer stored"


def _show_finding(console: Console, told: Told) -> None:
    """What was found when the window was settled."""
    from rich.text import Text

    from verifier.check.screen import printable
    from verifier.times import iso_time

    request = printable(f"{told.method} {told.path}")
    later = ", superseded by a later revision" if told.superseded else ""
    parts = [
        Text.assemble((request, "bold"), f"  {told.policy}: {told.verdict}{later}"),
        Text(f"  found in the window of {told.window_start}: {told.reason}"),
    ]
    for line in told.evidence:
        place = f"{line['topic']}/{line['partition']}@{line['offset']}"
        parts.append(Text(f"  {iso_time(line['start_us'])}  {line['code']}  {line['side']}"))
        parts.append(Text(printable(f"      {line['pod']}  {place}"), style="dim"))
    for part in parts:
        console.print(part, soft_wrap=True)


def _show(console: Console, story: Story) -> None:
    from rich.text import Text

    from verifier.check.screen import printable

    verdicts = ", ".join(f"{count} {name}" for name, count in story.verdicts.items())
    request = printable(f"{story.method} {story.path}")
    parts = [Text.assemble((request, "bold"), f"  {story.policy}: {verdicts}")]
    parts += [Text(f"  {reason}") for reason in story.reasons]
    for line in story.lines:
        code = f"{line.code} {line.flags}".rstrip()
        detail = f"{line.pod}  {line.place}"
        if line.forwarded_for:
            detail += f"  forwarded for {line.forwarded_for}"
        parts.append(Text(f"  {line.started_at} {line.duration_ms:6} ms  {code:9} {line.side}"))
        parts.append(Text(printable(f"      {detail}"), style="dim"))
    for part in parts:
        console.print(part, soft_wrap=True)
