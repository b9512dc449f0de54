"""The broker and the database of a run, which can be stopped and started again."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Protocol

from tests.servers.apache import ApacheNode, apache_available, apache_node
from tests.servers.kafka import KafkaBroker
from tests.servers.postgres import Cluster
from tests.servers.process import folder
from tests.servers.tansu import tansu_broker


class Broker(Protocol):
    """What a run needs of a broker."""

    kafka: KafkaBroker
    can_restart: bool

    def restart(self) -> None:
        """Ends it, every other time with -9, and starts it again."""
        ...


class _Apache:
    can_restart = True

    def __init__(self, node: ApacheNode, stack: contextlib.ExitStack) -> None:
        self._node, self._stack = node, stack
        self._ways = cycle((signal.SIGKILL, signal.SIGTERM))
        self.kafka = stack.enter_context(node.running(next(self._ways)))

    def restart(self) -> None:
        self._stack.close()
        self._stack.enter_context(self._node.running(next(self._ways)))


class _Tansu:
    can_restart = False  # it keeps everything in memory

    def __init__(self, kafka: KafkaBroker) -> None:
        self.kafka = kafka

    def restart(self) -> None:
        raise NotImplementedError


@contextlib.contextmanager
def broker() -> Iterator[Broker]:
    """Apache Kafka where it can be had, else Tansu, which cannot be restarted."""
    with contextlib.ExitStack() as stack:
        if apache_available():
            node = stack.enter_context(apache_node())
            inner = stack.enter_context(contextlib.ExitStack())
            yield _Apache(node, inner)
        else:
            yield _Tansu(stack.enter_context(tansu_broker()))


class Database:
    """A database by its URL.

    Attributes:
        can_restart: Whether it is a server.
    """

    def __init__(self, url: str, cluster: Cluster | None, stack: contextlib.ExitStack) -> None:
        self.url, self._cluster, self._stack = url, cluster, stack
        self.can_restart = cluster is not None

    def restart(self) -> None:
        """Ends it at once, and starts it again."""
        assert self._cluster is not None
        self._stack.close()
        self._stack.enter_context(self._cluster.running())


@contextlib.contextmanager
def database(kind: str, home: Path) -> Iterator[Database]:
    """A database of the run's own, empty; gone at the end, but for a file of SQLite.

    Args:
        kind: `sqlite` or `postgresql`.
        home: Where SQLite's file is made.
    """
    with contextlib.ExitStack() as outer:
        stack = contextlib.ExitStack()
        if kind == "sqlite":
            yield Database(f"sqlite:///{home / 'mirrorproof.db'}", None, stack)
            return
        cluster = Cluster.create(outer.enter_context(folder("postgres")))
        outer.enter_context(stack)
        stack.enter_context(cluster.running())
        url = f"postgresql+psycopg://postgres@127.0.0.1:{cluster.port}/postgres"
        yield Database(url, cluster, stack)
