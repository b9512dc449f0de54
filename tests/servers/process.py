"""One server process: started, waited for, stopped, and never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # from <linux/prctl.h>
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_STOP_TIMEOUT_S: Final = 15.0
_LOG_TAIL_BYTES: Final = 4000
_SHARED_MEMORY: Final = Path("/dev/shm")
_ROOM_BYTES: Final = 4 << 30


class ServerError(RuntimeError):
    """A server for tests cannot be had; the message says why, with the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How a server is run.

    Attributes:
        arguments: Program and arguments.
        log: File that gets standard output and standard error.
        environment: The whole environment of the process; None: ours.
        user_id: Runs under this user (we are root then), None: as ourselves.
        stop_signal: What makes it stop in good order, at once.
    """

    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] | None = None
    user_id: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM


@contextlib.contextmanager
def running(command: Command, *, port: int, timeout_s: float) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server as long as the block, from when its port answers.

    Raises:
        ServerError: It ended, or its port did not answer in time.
    """
    with command.log.open("wb") as log:
        process = subprocess.Popen(
            command.arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=command.environment,
            cwd=command.log.parent,
            user=command.user_id,
            group=command.user_id,
            extra_groups=None if command.user_id is None else [],
            start_new_session=True,  # Ctrl-C stops the tests first, and they stop the server
            preexec_fn=lambda: _die_with_parent(command.stop_signal),
        )
    try:
        _wait_for_port(process, port, command, timeout_s)
        yield process
    finally:
        _stop(process, command.stop_signal)


def run(arguments: Sequence[str], *, user_id: int | None = None, cwd: Path | None = None) -> None:
    """Runs a set-up command to its end.

    Raises:
        ServerError: It failed; the message ends with what it printed.
    """
    result = subprocess.run(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        user=user_id,
        group=user_id,
        extra_groups=None if user_id is None else [],
        check=False,
    )
    if result.returncode != 0:
        tail = result.stdout[-_LOG_TAIL_BYTES:].decode(errors="replace")
        raise ServerError(f"{Path(arguments[0]).name} ended with {result.returncode}:\n{tail}")


@contextlib.contextmanager
def folder(name: str) -> Iterator[Path]:
    """A new folder for a server's files, in memory if possible; removed with all that is in it."""
    with tempfile.TemporaryDirectory(
        prefix=f"mirrorproof-{name}-", dir=_memory(), ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


def _memory() -> Path | None:
    """A file system in memory with room, whose programs may run; None: there is none.

    A database has a thousand files, which a disk takes four times as long to make and remove.
    """
    try:
        found = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return None
    room = found.f_bavail * found.f_frsize >= _ROOM_BYTES and not found.f_flag & os.ST_NOEXEC
    return _SHARED_MEMORY if room and os.access(_SHARED_MEMORY, os.W_OK) else None


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on; held all at once, so that they differ."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            held = stack.enter_context(socket.socket())
            held.bind(("127.0.0.1", 0))
            ports.append(held.getsockname()[1])
        return ports


def answers(port: int) -> bool:
    """Whether something listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _die_with_parent(death_signal: signal.Signals) -> None:
    # In the child, before the server's program: a killed test run leaves no server behind.
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)


def _wait_for_port(
    process: subprocess.Popen[bytes], port: int, command: Command, timeout_s: float
) -> None:
    deadline = time.monotonic() + timeout_s
    name = Path(command.arguments[0]).name
    while not answers(port):
        if process.poll() is not None:
            raise ServerError(f"{name} ended with {process.returncode}:\n{_tail(command)}")
        if time.monotonic() > deadline:
            raise ServerError(f"{name}: no answer in {timeout_s} s:\n{_tail(command)}")
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(stop_signal)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(command: Command) -> str:
    return command.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
