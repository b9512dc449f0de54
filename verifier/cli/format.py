"""`mirrorproof format`: what logs are, and what they lack; and the options for formats."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.errors import InputError, UsageError

if TYPE_CHECKING:
    from collector.formats.parse import Format
    from verifier.sample.look import Kind, Look

FormatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--access-log-format",
        metavar="FORMAT",
        help="A format of your own, as in meshConfig.accessLogFormat, or @FILE with formats or "
        "Istio's YAML; may be repeated.",
    ),
]
_MAX_LINE_BYTES: Final = 2 * 1024 * 1024
_NOTES: Final = {"error": "ERROR", "warning": "lacks", "note": "could have"}

_HELP = """Says which shipper's shape and which access-log format a sample has.

And what it lacks for verification, what that costs, and what to log instead. FILE is a file of
lines, or [b]-[/b] for standard input.

Exit status: 0 its lines can be verified, 1 they cannot, or most of them, 2 wrong usage or
unreadable input.

[b]Examples[/b]

  kubectl logs deploy/frontend -c istio-proxy | mirrorproof format -

  kubectl -n istio-system get cm istio -o yaml > mesh.yaml

  mirrorproof format --format @mesh.yaml access.log

  mirrorproof format --json --format '%START_TIME% %REQ(:METHOD)% %RESPONSE_CODE%' access.log
"""


def formats_of(given: Sequence[str] | None) -> list[Format]:
    """The formats that options name, compiled.

    Raises:
        UsageError: One cannot be used, or its file cannot be read.
    """
    from collector.formats.given import read_formats

    return [one for value in given or () for one in read_formats(_text_of(value))]


def format_override(given: Sequence[str] | None) -> dict[str, object]:
    """What the options mean as settings: one format a line. Raises UsageError."""
    found = [f"{'json' if one.is_json else 'text'}:{one.text}" for one in formats_of(given)]
    return {"access_log_format": "\n".join(found)} if found else {}


def _text_of(value: str) -> str:
    """A value itself, or what is in the file that it names. Raises UsageError."""
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"access-log format file {value[1:]}: {reason}") from error


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("format", help=_HELP)(format_command)


def format_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="FILE or -.")],
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "--access-log-format",
            metavar="FORMAT",
            help="A format to try, or @FILE with formats or Istio's YAML; may be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Looks at a sample; see `_HELP`."""
    from verifier.sample.look import look

    formats = formats_of(given)
    try:
        found = look(_lines(file), formats)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    if not found.lines:
        raise InputError(f"{file}: empty; give a file with some lines of a proxy's log")
    if as_json:
        typer.echo(json.dumps(_to_json(found, formats), ensure_ascii=False))
    else:
        _show(found, formats)
    raise typer.Exit(0 if found.usable else 1)


def _lines(file: str) -> Iterator[bytes]:
    """The lines of a file or of standard input; one that is longer than any is in pieces."""
    with nullcontext(0) if file == "-" else Path(file).open("rb") as opened:
        stream = sys.stdin.buffer if isinstance(opened, int) else opened
        while line := stream.readline(_MAX_LINE_BYTES):
            yield line.rstrip(b"\r\n")


def _to_json(found: Look, formats: Sequence[Format]) -> dict[str, object]:
    import msgspec

    from verifier.sample.needs import RECOMMENDED

    return {
        "usable": found.usable,
        "lines": found.lines,
        "complete": found.complete,
        "kinds": msgspec.to_builtins(found.kinds),
        "formats": {f"format {n}": one.text for n, one in enumerate(formats, 1)},
        "lacking": msgspec.to_builtins(found.lacking),
        "recommended": RECOMMENDED,
    }


def _show(found: Look, formats: Sequence[Format]) -> None:
    """Prints what was found for people."""
    from verifier.check.screen import printable
    from verifier.sample.needs import snippet

    for kind in found.kinds:
        typer.echo(printable(_kind_line(kind)))
    if not found.complete:
        typer.echo(f"(the first {found.lines} lines)")
    for number, one in enumerate(formats, 1):
        typer.echo(printable(f"format {number} is {one.text}"))
    for name, needs in found.lacking.items():
        typer.echo(f"\n{name}:" if needs else f"\n{name}: lacks nothing")
        for need in needs:
            typer.echo(f"  {_NOTES[need.severity]} {need.operator}: {need.cost}")
    for word in _words(found):
        typer.echo(f"\n{word}")
    if any(found.lacking.values()) or not found.usable:
        typer.echo("\nWhat to log instead, for all proxies:\n")
        typer.echo(snippet(), nl=False)


def _kind_line(kind: Kind) -> str:
    what = kind.what if kind.what != "access log" else "access logs"
    named = f", {kind.unnamed} without a pod's name" if kind.unnamed and "log" in what else ""
    return (
        f"{kind.count:8} {what}: {kind.format}, in {kind.shape}{named}  (first: line {kind.line})"
    )


def _words(found: Look) -> Iterator[str]:
    """What else there is to say."""
    texts = [name for name in found.lacking if name.endswith("text")]
    if not found.total("access log", "ambiguous"):
        yield (
            "No line is an access log of a known format. If your mesh has one of its own, give it: "
            "--format @mesh.yaml, made by kubectl -n istio-system get cm istio -o yaml"
        )
    if found.total("ambiguous"):
        yield (
            "Ambiguous lines have quotes or separators in a client's headers and can be read in "
            "several ways: they are never evidence. JSON has no such lines."
        )
    elif texts:
        yield "A text format lets clients forge fields with quotes; JSON does not."
