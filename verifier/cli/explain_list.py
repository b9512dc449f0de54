"""`mirrorproof explain` of several request ids: which there are, and a line for each request."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import typer

from collector.errors import InputError, UsageError
from verifier import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verifier.settle.lookup import Explained

MOST: Final = 1_000
_LONGEST: Final = MOST * (listed.LONGEST + 2) * 4
"""Bytes of a file of ids that are read."""


def sort_arguments(
    given: Sequence[str], ids_from: str | None, *, has_policy: bool
) -> tuple[list[str], list[str]]:
    """Which arguments are request ids, and which are logs.

    Args:
        given: The arguments, in order.
        ids_from: File with ids, `-` for standard input: then all arguments are logs.
        has_policy: Whether logs are judged: the first argument is an id, the others are logs.

    Raises:
        UsageError: There is no id, too many of them, or logs without policies.
        InputError: The file cannot be read.
    """
    if ids_from is not None:
        if ids_from == "-" and "-" in given:
            raise UsageError("--ids-from: standard input is a log already")
        ids, logs = listed.read_ids(_read(ids_from), MOST), list(given)
    else:
        # Arguments may hold any bytes.
        texts = [one.encode("utf-8", "replace").decode() for one in given]
        first = 1 if has_policy else len(texts)
        ids, logs = list(dict.fromkeys(texts[:first])), list(given[first:])
        if len(ids) > 1 and (file := next((one for one in ids if Path(one).is_file()), None)):
            raise UsageError(f"explain: {file} is a file, which needs --policy FILE to judge it by")
    if logs and not has_policy:
        raise UsageError("explain: files need --policy FILE, the routes to judge them by")
    return ids, logs


def _read(name: str) -> str:
    try:
        if name == "-":
            found = sys.stdin.buffer.read(_LONGEST + 1)
        else:
            with Path(name).open("rb") as opened:
                found = opened.read(_LONGEST + 1)
    except OSError as error:
        raise InputError(f"--ids-from: cannot read {name}: {error.strerror}") from error
    if len(found) > _LONGEST:
        raise UsageError(f"--ids-from: {name} is no list of at most {MOST} ids")
    return found.decode("utf-8", "replace")


def print_rows(ids: Sequence[str], found: Sequence[Explained], *, as_json: bool) -> bool:
    """Prints a line for each request; whether something is known of all ids."""
    from verifier.check.screen import printable

    rows = listed.all_rows(zip(ids, found, strict=True))
    for row in rows:
        if as_json:
            typer.echo(json.dumps(msgspec.to_builtins(row), ensure_ascii=False))
            continue
        started = f"  {row.started_at}" if row.started_at else ""
        typer.echo(printable(f"{row.request_id}  {row.verdict}{started}  {row.policy}".rstrip()))
        typer.echo(printable(f"  {f'{row.method} {row.path}: ' if row.method else ''}{row.reason}"))
    typer.echo(listed.summary(rows), err=True)
    return all(row.found for row in rows)
