"""`mirrorproof explain`: why requests got their verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.errors import UsageError
from verifier.cli.collect import ConfigOption, DatabaseOption
from verifier.cli.database import existing_database
from verifier.cli.explain_list import print_rows, sort_arguments
from verifier.cli.format import FormatOption, formats_of

if TYPE_CHECKING:
    from rich.console import Console

    from collector.formats.parse import Format
    from verifier.explain import Story
    from verifier.settle.lookup import Explained, Told

_HELP: Final = """Shows every line of one request id, how they were judged together, and why.

Of several ids, at most a thousand, a line each: verdict, time and reason, also where nothing is
known of one. [b]--ids-from[/b] reads them from a file; then all arguments are logs.

From files like [b]check[/b], or from the database of the live pipeline. An id may stand for several
requests: a page that calls twice, a retry, a client that chose it.

Lines are kept for a time (MIRRORPROOF_RETENTION__LINES_DAYS), findings with their lines longer.
What is left of a request is shown and not judged again.

Exit status: 0 found, 2 wrong usage or unreadable input, 3 no line or finding has one of the ids.

[b]Examples[/b]

  mirrorproof explain 46ce024f-97b3-4a45-8f73-2d4ef365608d --policy vs.yaml *.log

  mirrorproof explain 46ce024f-97b3-4a45-8f73-2d4ef365608d --database-url sqlite:///mirrorproof.db

  mirrorproof explain --ids-from ids.txt --json --database-url sqlite:///mirrorproof.db
"""
_NOT_FOUND: Final = 3


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("explain", help=_HELP)(explain_command)


def explain_command(
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID… [LOG]…", help="Request ids; with --policy one, and its logs."),
    ] = None,
    ids_from: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Request ids, one a line; - for standard input."),
    ] = None,
    policy: Annotated[
        list[Path] | None, typer.Option(help="Policies, for files; may be repeated.")
    ] = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
    assume_complete: Annotated[
        bool, typer.Option(help="A named log is complete; else only what it shows.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, or one a line for several ids.")
    ] = False,
    access_log_format: FormatOption = None,
) -> None:
    """Explains requests; see `_HELP`."""
    if policy and database_url:
        msg = "explain: give either LOG files with --policy, or --database-url"
        raise UsageError(msg)
    if not given and ids_from is None:
        raise UsageError("explain: give a request id, or --ids-from FILE")
    ids, logs = sort_arguments(given or [], ids_from, has_policy=bool(policy))
    if policy:
        formats = formats_of(access_log_format)
        found = _explain_files(policy, logs, ids, assume_complete=assume_complete, formats=formats)
    else:
        found = _explain_stored(database_url, config, ids)
    if len(ids) > 1 or ids_from is not None:
        is_known = print_rows(ids, found, as_json=as_json)
    else:
        _print(ids[0], found[0], as_json=as_json)
        is_known = bool(found[0].stories or found[0].findings)
    if not is_known:
        raise typer.Exit(_NOT_FOUND)


def _explain_stored(
    database_url: str | None, config: Path | None, ids: list[str]
) -> list[Explained]:
    from verifier.settle.lookup import explain_all_stored

    with existing_database(database_url, config) as engine:
        return explain_all_stored(engine, ids)


def _explain_files(
    policy: list[Path],
    logs: list[str],
    ids: list[str],
    *,
    assume_complete: bool,
    formats: list[Format],
) -> list[Explained]:
    from verifier.check.lookup import explain_list
    from verifier.policies.read import read_policies
    from verifier.settle.lookup import Explained

    if not logs:
        raise UsageError("explain: --policy needs LOG files to judge; without it the database is")
    stories = explain_list(
        read_policies(policy), logs, ids, assume_complete=assume_complete, formats=formats
    )
    return [Explained(one, [], None) for one in stories]


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
