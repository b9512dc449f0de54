"""`mirrorproof replay --topic`: reads a range of offsets again, and settles what it touches."""

from __future__ import annotations

import json
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec
import typer

from verifier.cli.progress import progress
from verifier.times import iso_time

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from collector.service.reread import Range, Reread
    from collector.settings import Settings
    from verifier.settle.windows import Span

INTERRUPTED: Final = 130
_BEFORE_US: Final = 120_000_000
"""Requests that started so long before a record may be in doubt for want of it."""


class Offsets(msgspec.Struct, frozen=True):
    """What was asked for; to_offset None: up to where it was read."""

    topic: str
    partition: int
    from_offset: int
    to_offset: int | None
    dry_run: bool
    as_json: bool


def replay_offsets(settings: Settings, engine: Engine, asked: Offsets, stop: Event) -> Span | None:
    """Reads again, and tells what came of it.

    Returns:
        The span in which windows are to be settled again; None: nothing is.

    Raises:
        UsageError, Retryable: The range cannot be read again; see `Rereader.read`.
        typer.Exit: It was interrupted.
    """
    from collector.clock import SystemClock
    from collector.db.engine import reading
    from collector.db.reread import read_before
    from collector.service.reread import Range, Rereader
    from collector.sources.protocol import Partition
    from verifier.settle.windows import Span

    where, end = Partition(asked.topic, asked.partition), asked.to_offset
    if end is None:
        with reading(engine) as connection:
            end, _ = read_before(connection, where)
    wanted = Range(where, asked.from_offset, end)
    rereader = Rereader(settings, engine, SystemClock(), dry_run=asked.dry_run)
    with progress(end - wanted.begin, "offsets", "reading again", "read again") as show:
        done, reached = rereader.read(wanted, lambda at: show(at - wanted.begin), stop)
    _tell(wanted, done, reached, asked)
    if reached < end:
        typer.echo(f"interrupted at offset {reached}; run it again, nothing is doubled", err=True)
        raise typer.Exit(INTERRUPTED)
    if asked.dry_run or done.from_us is None or done.to_us is None:
        return None
    return Span(done.from_us - _BEFORE_US, done.to_us + 1)


def _tell(wanted: Range, done: Reread, reached: int, asked: Offsets) -> None:
    counts = {
        "records": done.records, "read": done.read, "stored": done.stored,
        "repeated": done.repeated, "ignored": done.ignored, "unreadable": done.unreadable,
        "filled": done.filled,
    }  # fmt: skip
    if asked.as_json:
        place = {
            "topic": wanted.where.topic, "partition": wanted.where.number,
            "from_offset": wanted.begin, "to_offset": reached, "dry_run": asked.dry_run,
        }  # fmt: skip
        times = {
            "from": None if done.from_us is None else iso_time(done.from_us),
            "to": None if done.to_us is None else iso_time(done.to_us),
        }
        typer.echo(json.dumps({"reread": place | counts | times}))
        return
    would = "would be " if asked.dry_run else ""
    typer.echo(
        f"{wanted.where} {wanted.begin} to {reached}: {done.read} lines in {done.records} records; "
        f"{done.stored} {would}stored, {done.repeated} were already, {done.ignored} ignored, "
        f"{done.unreadable} unreadable; {done.filled} records of gaps {would}filled"
    )
