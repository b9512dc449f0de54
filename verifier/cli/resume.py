"""`mirrorproof quarantine resume`: a stopped partition is read on."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.errors import UsageError
from verifier.cli.collect import ConfigOption, DatabaseOption, load_settings
from verifier.cli.database import existing_database
from verifier.cli.printing import printable
from verifier.cli.quarantine_options import KafkaOption

if TYPE_CHECKING:
    from collector.db.resume import Resumption, Stopped
    from collector.sources.protocol import Bounds, Partition

HELP: Final = """Has a stopped partition read on; a running collector notices soon.

Records that are passed over become a gap: they are counted, and who, why and how many is kept.

[b]Examples[/b]

  mirrorproof quarantine resume istio-access-logs/3

  mirrorproof quarantine resume istio-access-logs/3 --from begin --why "retention was too short"

  mirrorproof quarantine resume istio-access-logs/3 --from 120000 --why "INC-77: a wrong producer"
"""
_HERE, _BEGIN, _END = "here", "begin", "end"


def resume_command(
    partition: Annotated[str, typer.Argument(metavar="TOPIC/PARTITION")],
    from_: Annotated[
        str,
        typer.Option(
            "--from", metavar="OFFSET",
            help="here: where it stopped; begin or end: of what Kafka holds; or an offset.",
        ),
    ] = _HERE,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Kept with it.")] = "",
    who: Annotated[str, typer.Option(metavar="NAME", help="Default: the user's name.")] = "",
    bootstrap_servers: KafkaOption = None,
    database_url: DatabaseOption = None,
    config: ConfigOption = None,
) -> None:  # fmt: skip
    """Resumes; see `HELP`."""
    from collector.clock import SystemClock
    from collector.db import resume
    from collector.db.engine import reading, writing
    from verifier.settle.late import look_back

    where = read_partition(partition)
    with existing_database(database_url, config) as engine:
        with reading(engine) as connection:
            stopped = {one.partition: one for one in resume.stopped(connection)}
        if where not in stopped:
            names = ", ".join(map(str, stopped)) or "none"
            raise UsageError(f"{where} is not stopped; stopped are: {names}")
        found = stopped[where]
        how = _decide(found, from_, (who or _user(), why), config, bootstrap_servers)
        with writing(engine) as connection:
            resume.resume(connection, found, how, SystemClock().now_us())
            look_back(connection, where, how.to_offset)
    passed = how.to_offset - found.next_offset if how.same_log else 0
    over = f", {passed} records passed over" if passed else ""
    typer.echo(printable(f"{where} is read on from {how.to_offset}{over}"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


def read_partition(text: str) -> Partition:
    """`TOPIC/3`. Raises UsageError."""
    from collector.sources.protocol import Partition

    topic, slash, number = text.rpartition("/")
    if not (topic and slash and number.isdigit() and len(number) < 10):
        raise UsageError(f"{text}: write TOPIC/PARTITION, as istio-access-logs/3")
    return Partition(topic, int(number))


def _is_truncated(found: Stopped, bounds: Bounds) -> bool:
    """Whether the log lost its end: other records take the offsets that were read."""
    out_of_range = "no longer holds" in found.reason
    return "truncated" in found.reason or (out_of_range and found.next_offset > bounds.end)


def _decide(
    found: Stopped,
    from_: str,
    signed: tuple[str, str],
    config: Path | None,
    servers: str | None,
) -> Resumption:
    """Where to read on. Raises UsageError: there is no such record, or it was read before."""
    from collector.db.resume import Resumption
    from collector.service import operator
    from verifier.settle.report import FILE_PREFIX

    here = found.next_offset
    if found.partition.topic.startswith(FILE_PREFIX):
        if from_ not in (_HERE, _BEGIN):
            raise UsageError("a file is read on --from here, or --from begin when it is another")
        begin = from_ == _BEGIN
        return Resumption(0 if begin else here, None, not begin, *signed)
    settings = load_settings(config, {"kafka": {"bootstrap_servers": servers}})
    bounds, topic_id = operator.look(settings.kafka, found.partition)
    same = found.topic_id is None or found.topic_id == topic_id
    named = {_HERE: here, _BEGIN: bounds.begin, _END: bounds.end}
    if from_ not in named and not (from_.isdigit() and len(from_) < 19):
        raise UsageError(f"--from {from_}: write here, begin, end or an offset")
    to_offset = named[from_] if from_ in named else int(from_)
    holds = f"Kafka holds {bounds.begin} to {bounds.end - 1}" if bounds.end else "Kafka holds none"
    if not same and from_ == _HERE:
        raise UsageError(f"the topic was created again, {holds}: say --from begin, or an offset")
    if not bounds.begin <= to_offset <= bounds.end:
        raise UsageError(f"there is no record {to_offset}, {holds}; choose another --from")
    truncated = _is_truncated(found, bounds)
    if same and not truncated and to_offset < here:
        raise UsageError(f"records up to {here - 1} were read already; choose a later --from")
    return Resumption(to_offset, topic_id, same and not truncated, *signed)
