"""Reads the new lines of a growing file, by byte offset, as a log shipper does."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_READ_BYTES: Final = 1024 * 1024


class Tail:
    """The unread end of one file.

    Args:
        path: The file; it may not exist yet.
        offset: Where to start, in bytes.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path: Final = path
        self.offset = offset

    def read_lines(self) -> list[str]:
        """The complete lines that were added since the last call, each with its newline.

        A line that is not finished stays for the next call. At most 1 MiB is read at once, or
        one line that is longer.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                read = file.read(_READ_BYTES)
                if b"\n" not in read and len(read) == _READ_BYTES:
                    read += file.readline()
        except FileNotFoundError:
            return []
        complete = read[: read.rfind(b"\n") + 1]
        self.offset += len(complete)
        # Not splitlines(): it also splits at characters that may stand within a user agent.
        lines = complete.decode("utf-8", "replace").split("\n")
        return [line + "\n" for line in lines[:-1]]
