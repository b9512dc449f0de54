"""A Docker engine: one that answers, else Debian's `docker.io`, started for the run alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker

from tests.servers.process import ServerError, folder

_START_TIMEOUT_S: Final = 60.0
_CALL_TIMEOUT_S: Final = 900
"""Building a step of an image is one call."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers.

    Attributes:
        client: Of the library `docker`.
        environment: How programs are told where it is.
    """

    client: Any
    environment: dict[str, str]

    def gets(self, image: str) -> bool:
        """Whether it has an image by now."""
        try:
            return bool(self.client.images.list(image) or self.client.images.pull(image))
        except (docker.errors.DockerException, OSError):
            return False


@contextlib.contextmanager
def docker_engine() -> Iterator[Engine | None]:
    """An engine as long as the block; None: there is none, and none can be started.

    Raises:
        ServerError: One that is installed does not start.
    """
    with contextlib.suppress(docker.errors.DockerException):
        client = docker.from_env(timeout=_CALL_TIMEOUT_S)
        if client.ping():
            yield Engine(client, {})
            return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        yield None
        return
    with folder("docker") as home, _started(home) as engine:
        yield engine


@contextlib.contextmanager
def _started(home: Path) -> Iterator[Engine]:
    """Runs an engine on a socket of its own, which changes no firewall."""
    address = f"unix://{home}/docker.sock"
    command = ["dockerd", "--iptables=false", "--host", address, "--pidfile", str(home / "pid")]
    command += ["--data-root", str(home / "data"), "--exec-root", str(home / "exec")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield Engine(_wait_for(address, process, home / "log"), {"DOCKER_HOST": address})
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> Any:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            client = docker.DockerClient(base_url=address, timeout=_CALL_TIMEOUT_S)
            client.ping()
        except docker.errors.DockerException as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"dockerd does not start:\n{log.read_text()[-4000:]}") from error
            time.sleep(0.2)
        else:
            return client
