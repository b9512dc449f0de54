"""What is pure: envelopes, formats, and what the collector makes of records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from collector.batch import Batch, Watch
from collector.envelopes.found import RawLine
from collector.envelopes.unwrap import unwrap
from collector.formats.parse import parse_line
from collector.hosts import HostTable
from collector.poison import PoisonLimits
from collector.reader import Reader
from collector.records import Identity
from collector.sources.protocol import Partition, Record
from tests import recordings
from tests.bench.figures import Figure, Options, measure
from tests.bench.shapes import ENVELOPES, fluent_bit, log_lines
from tests.lines import HOST

LINES: Final = 12_000
BATCH: Final = 5_000
PARTITION: Final = Partition("logs", 0)
NOW_US: Final = 4_000_000_000_000_000


def formats(options: Options) -> Iterator[Figure]:
    """Parsing alone."""
    texts = [line.decode("utf-8", "replace") for _, line in log_lines(LINES)]
    jsons = [recordings.to_json(line).decode().rstrip() for _, line in log_lines(LINES)]
    for name, lines in (("parse: text", texts), ("parse: JSON", jsons)):
        yield measure(name, len(lines), options.runs, lambda t=lines: [parse_line(x) for x in t])


def envelopes(options: Options) -> Iterator[Figure]:
    """Each envelope with the text line in it, and Fluent Bit with JSON in it."""
    lines = [(pod, line.decode("utf-8", "replace")) for pod, line in log_lines(LINES)]
    values = {
        f"envelope: {name}, text": [shape(pod, line) for pod, line in lines]
        for name, shape in ENVELOPES.items()
    }
    values["envelope: Fluent Bit, JSON"] = [
        fluent_bit(pod, recordings.to_json(line).decode().rstrip())
        for pod, line in log_lines(LINES)
    ]
    for name, found in values.items():
        yield measure(name, len(found), options.runs, lambda v=found: _parse_all(v))


def _parse_all(values: list[bytes]) -> None:
    for value in values:
        for piece in unwrap(value):
            assert isinstance(piece, RawLine)
            parse_line(piece.text)


def make_reader() -> tuple[Reader, Watch]:
    """A reader as the collector has it, watching the recordings' host."""
    identity = Identity()
    return Reader(b"s" * 32, ("istio-proxy",), lambda _: identity, PoisonLimits()), Watch(
        HostTable([HOST]), 1
    )


def make_batches(count: int) -> list[Batch]:
    """Batches of about so many lines in Fluent Bit's envelope."""
    records = [
        Record(offset, NOW_US, fluent_bit(pod, line.decode("utf-8", "replace")))
        for offset, (pod, line) in enumerate(log_lines(count))
    ]
    reader, watch = make_reader()
    return _read(reader, watch, records)


def _read(reader: Reader, watch: Watch, records: list[Record]) -> list[Batch]:
    return [
        reader.read(PARTITION, first, records[first : first + BATCH], watch, NOW_US)
        for first in range(0, len(records), BATCH)
    ]


def batches(options: Options) -> Iterator[Figure]:
    """From records to batches: envelope, format, observation, keys."""
    reader, watch = make_reader()
    for name in ("bare", "Fluent Bit"):
        records = [
            Record(offset, NOW_US, ENVELOPES[name](pod, line.decode("utf-8", "replace")))
            for offset, (pod, line) in enumerate(log_lines(LINES))
        ]
        yield measure(
            f"batch: {name}, text",
            len(records),
            options.runs,
            lambda r=records: _read(reader, watch, r),
        )
