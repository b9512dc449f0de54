"""Records from files, for `mirrorproof collect --from`: each line is a record.

A file is a topic of its own, `file:/absolute/path`, with the partition 0; the offset is the
number of the line, from 0, so that a second run reads on where the first one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from collector.envelopes.found import MAX_VALUE_BYTES
from collector.errors import InputError
from collector.sources.protocol import Bounds, Partition, Polled, Record

_MOST_LINES: Final = 5_000
"""Of one poll: one transaction."""
_CHUNK_BYTES: Final = 1024 * 1024
_HEAD_BYTES: Final = 4_096
"""In which a text has no NUL."""


def file_partition(path: Path) -> Partition:
    """The partition that stands for a file."""
    return Partition(f"file:{path.resolve()}", 0)


def pod_of_file(partition: Partition) -> str:
    """The pod that a file's name says, `POD.log`; empty for other files and for Kafka."""
    scheme, _, path = partition.topic.partition(":")
    return Path(path).stem if scheme == "file" and path.endswith(".log") else ""


class FileSource:
    """See `collector.sources.protocol.RecordSource`.

    Args:
        paths: Files to read, each from its position on to its present end.
        on_end: Called once everything was delivered.

    Raises:
        InputError: A file cannot be read, or is no text.
    """

    def __init__(self, paths: Iterable[Path], on_end: Callable[[], object]) -> None:
        self._paths = {file_partition(path): path for path in paths}
        self._ends = {found: _count_lines(path) for found, path in self._paths.items()}
        self._announced = False
        self._next: dict[Partition, int] = {}
        self._open: dict[Partition, BinaryIO] = {}
        self._done: set[Partition] = set()
        self._given_up: set[Partition] = set()
        self._paused = False
        self._on_end = on_end

    def poll(self, timeout_s: float) -> Polled:  # noqa: ARG002 - files are always ready
        """See `RecordSource`."""
        if not self._announced:
            self._announced = True
            return Polled(assigned=tuple(self._paths))
        if self._paused:
            return Polled()
        for partition, offset in tuple(self._next.items()):
            if offset > self._ends[partition]:
                self.halt(partition)
                end = self._ends[partition]
                return Polled(broken={partition: f"the file ends at line {end}, before {offset}"})
            records = self._read(partition)
            if records:
                return Polled(records={partition: records})
            self._finish(partition)
        return Polled()

    def _read(self, partition: Partition) -> list[Record]:
        offset = self._next[partition]
        count = min(_MOST_LINES, self._ends[partition] - offset)
        lines = islice(_lines(self._open[partition]), max(count, 0))
        records = [Record(offset + n, 0, line) for n, line in enumerate(lines)]
        self._next[partition] = offset + len(records)
        return records

    @property
    def unread(self) -> tuple[Path, ...]:
        """Files that were given up before their end: stopped, or another process reads them."""
        return tuple(path for found, path in self._paths.items() if found in self._given_up)

    def _finish(self, partition: Partition) -> None:
        self._close(partition)
        self._done.add(partition)
        if len(self._done) == len(self._paths):
            self._on_end()

    def begin(
        self,
        partition: Partition,
        offset: int,
        leader_epoch: int | None = None,  # noqa: ARG002 - files have none
    ) -> None:
        """See `RecordSource`."""
        path = self._paths.get(partition)
        if path is None:
            return
        self._close(partition)
        self._done.discard(partition)
        self._given_up.discard(partition)
        file = _open(path)
        for _ in islice(_lines(file), offset):
            pass
        self._open[partition] = file
        self._next[partition] = offset

    def halt(self, partition: Partition) -> None:
        """See `RecordSource`. What is halted is not waited for: nobody else brings it on."""
        if partition in self._paths and partition not in self._done:
            self._given_up.add(partition)
            self._finish(partition)

    def _close(self, partition: Partition) -> None:
        self._next.pop(partition, None)
        file = self._open.pop(partition, None)
        if file is not None:
            file.close()

    def pause(self) -> None:
        """See `RecordSource`."""
        self._paused = True

    def resume(self) -> None:
        """See `RecordSource`."""
        self._paused = False

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """See `RecordSource`."""
        return {found: Bounds(0, self._ends[found]) for found in partitions}

    def read_to(self, partition: Partition) -> int | None:
        """See `RecordSource`."""
        return self._next.get(partition)

    def topic_id(self, topic: str) -> str | None:  # noqa: ARG002 - files have none
        """See `RecordSource`."""
        return None

    def commit_hint(self, offsets: Mapping[Partition, int]) -> None:
        """See `RecordSource`."""

    def close(self) -> None:
        """See `RecordSource`."""
        for partition in tuple(self._open):
            self._close(partition)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines without their newline; of a line that is far too long only the beginning is kept."""
    while line := file.readline(MAX_VALUE_BYTES + 2):
        rest = line
        while not rest.endswith(b"\n") and len(rest) > _CHUNK_BYTES:
            rest = file.readline(MAX_VALUE_BYTES + 2)
        yield line.rstrip(b"\r\n")


def _count_lines(path: Path) -> int:
    with _open(path) as file:
        try:
            if b"\0" in file.read(_HEAD_BYTES):
                raise InputError(f"{path}: is binary, no log; unpack it first")
            file.seek(0)
            return sum(1 for _ in _lines(file))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
