"""Server processes and the folder they write to, of which nothing is left behind."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from collector.errors import UsageError
from verifier.demo import guard

_STOP_TIMEOUT_S: Final = 5.0


class Servers:
    """Starts servers in one process group that a guard ends when this process is gone.

    Use it as a context manager. `close` is idempotent and safe after any failure.

    Args:
        keep: Folder to use and to keep; None: a temporary one, removed at the end.

    Raises:
        UsageError: `keep` is not empty, or cannot be made.
    """

    def __init__(self, keep: Path | None = None) -> None:
        self._temporary = keep is None
        if keep is not None:
            _make_empty(keep)
        self.folder: Final = (keep or Path(tempfile.mkdtemp(prefix="mirrorproof-demo-"))).resolve()
        self._running: list[subprocess.Popen[bytes]] = []
        self._closed = False
        doomed = str(self.folder) if self._temporary else ""
        self._guard = subprocess.Popen(  # noqa: S603 - our own file, no shell
            [sys.executable, "-I", "-S", guard.__file__, doomed],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )

    def spawn(self, command: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        """Starts a server.

        Args:
            command: Program and arguments.
            output: File that its standard output and error are appended to.
        """
        with output.open("ab") as sink:
            process = subprocess.Popen(  # noqa: S603 - programs of installed wheels, no shell
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env={},  # the broker takes each of its options from variables too
                process_group=self._guard.pid,
            )
        self._running.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes], *, kill: bool = False) -> None:
        """Ends one server and waits for it; `kill` gives it no chance to write anything."""
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        _reap(process)
        if process in self._running:
            self._running.remove(process)

    def close(self) -> None:
        """Ends all servers and removes the temporary folder."""
        if self._closed:
            return
        self._closed = True
        if self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()
        for process in [self._guard, *self._running]:
            _reap(process)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _make_empty(folder: Path) -> None:
    """Makes a folder; one that holds files of an earlier run would mix them with this one's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        message = f"folder {folder}: {error.strerror}"
        raise UsageError(message) from error
    if used:
        message = f"folder {folder} is not empty; name a new one"
        raise UsageError(message)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Waits for the end of a process that was told to end, and insists when it does not."""
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_STOP_TIMEOUT_S)
