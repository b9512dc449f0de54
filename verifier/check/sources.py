"""The LOG arguments: which files are read, and whose logs they are."""

from __future__ import annotations

import codecs
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from collector.errors import InputError, UsageError
from verifier.check.pieces import whole_end

CHUNK_BYTES: Final = 4 * 1024 * 1024
_STDIN: Final = "-"
_PACKED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh", b"PK\x03\x04")
"""How gzip, Zstandard, xz, bzip2 and zip begin."""


class Source(msgspec.Struct, frozen=True):
    """One log: the file to read, the pod that it names (or empty), and its name for people."""

    path: str
    pod: str
    name: str
    size: int


class Chunk(msgspec.Struct, frozen=True):
    """A stretch of whole lines of one source: bytes from `start` to before `end`."""

    source: int
    start: int
    end: int


def _split_argument(argument: str) -> tuple[str, str]:
    """Pod and file of `FILE`, `-` or `POD=FILE`. An existing file's name may hold `=`."""
    pod, equals, file = argument.partition("=")
    if equals and not Path(argument).exists():
        return pod, file
    if argument != _STDIN and argument.endswith(".log"):
        return Path(argument).name.removesuffix(".log"), argument
    return "", argument


def _keep_stdin(folder: Path) -> Path:
    """Standard input as a file: evidence is read a second time."""
    path = folder / "stdin"
    with path.open("wb") as target:
        shutil.copyfileobj(sys.stdin.buffer, target, 1024 * 1024)
    return path


def open_sources(arguments: Iterable[str], folder: Path) -> tuple[Source, ...]:
    """The logs that the arguments name, each proved readable.

    Args:
        arguments: `FILE`, `-` for standard input, or `POD=FILE`; a file `POD.log` names its pod.
        folder: Where standard input is kept.

    Raises:
        InputError: a file cannot be read.
        UsageError: standard input or a file is named twice.
    """
    sources: list[Source] = []
    seen: set[str] = set()
    for argument in arguments:
        pod, file = _split_argument(argument)
        real = file if file == _STDIN else str(Path(file).resolve())
        if real in seen:
            msg = f"{file}: named twice; give each log once"
            raise UsageError(msg)
        seen.add(real)
        sources.append(_open_source(pod, file, folder))
    return tuple(sources)


def _open_source(pod: str, file: str, folder: Path) -> Source:
    """One source. Raises InputError when it cannot be read."""
    path = _keep_stdin(folder) if file == _STDIN else Path(file)
    try:
        if not path.is_file() and not path.is_dir():
            path = _keep_stream(path, folder)
        with path.open("rb") as opened:
            if _is_binary(opened.read(4096)):
                msg = f"{file}: is binary, no log; unpack it first"
                raise InputError(msg)
            size = opened.seek(0, 2)
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror or error}"
        raise InputError(msg) from error
    return Source(str(path), pod, file, size)


def _is_binary(head: bytes) -> bool:
    """Whether a file is packed, or no text. Some NULs are what a crashed node leaves in a log."""
    return head.startswith(_PACKED) or head.count(0) * 3 > len(head)


def _keep_stream(path: Path, folder: Path) -> Path:
    """A pipe such as `<(kubectl logs …)` as a file. Raises OSError."""
    with path.open("rb") as source, tempfile.NamedTemporaryFile(dir=folder, delete=False) as kept:
        shutil.copyfileobj(source, kept, 1024 * 1024)
    return Path(kept.name)


def chunks(sources: tuple[Source, ...]) -> Iterator[Chunk]:
    """Cuts the sources into chunks, in order, that end at line ends and split no joined line."""
    for number, source in enumerate(sources):
        with Path(source.path).open("rb") as file:
            start = 0
            while start < source.size:
                end = min(start + CHUNK_BYTES, source.size)
                if end < source.size:
                    file.seek(end)
                    end = whole_end(file, start, end + len(file.readline()))
                yield Chunk(number, start, end)
                start = end


def read_chunk(source: Source, chunk: Chunk) -> list[bytes]:
    """The lines of a chunk, without newlines."""
    with Path(source.path).open("rb") as file:
        file.seek(chunk.start)
        lines = file.read(chunk.end - chunk.start).split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    if lines and chunk.start == 0:
        lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
    return lines
