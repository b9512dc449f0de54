"""Everything around the product: applications, proxies, traffic, shipper and broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from collector.errors import MirrorproofError
from collector.settings import KafkaSettings
from collector.settings.environment import load
from collector.sources.kafka_connection import connection_options
from verifier.demo.apps import Applications
from verifier.demo.broker import PARTITIONS, Topic, start_broker
from verifier.demo.ledger import Ledger
from verifier.demo.mesh import Mesh
from verifier.demo.servers import Servers
from verifier.demo.shipper import Shipper
from verifier.demo.traffic import Traffic

TOPIC: Final = "istio-proxy-logs"
FLUSH_MS: Final = 500
"""How often the proxies write their logs: half of Istio's second, to see windows settle soon."""
_END_CHECK_S: Final = 0.5
_BATCH_WAIT_MS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What runs around the product.

    Attributes:
        kafka: How collectors read the demo's topic.
        ledger: What really happened.
        mesh: The proxies.
        traffic: Not yet started.
        shipper: Ships what the proxies log.
    """

    kafka: KafkaSettings
    ledger: Ledger
    mesh: Mesh
    traffic: Traffic
    shipper: Shipper

    def check(self) -> None:
        """Makes sure that the stage still stands.

        Raises:
            MirrorproofError: A proxy ended by itself, or the broker refused lines.
        """
        if self.shipper.failure is not None:
            reason = " ".join(str(self.shipper.failure).split())
            message = f"the shipper lost lines: {reason}"
            raise MirrorproofError(message)
        dead = self.mesh.dead_pods()
        if dead:
            message = f"the proxy of pod {dead[0]} ended by itself"
            raise MirrorproofError(message)


@contextmanager
def open_stage(servers: Servers, bootstrap: str | None, rate: float) -> Iterator[Stage]:
    """Starts everything but the traffic, and ends everything afterwards.

    Args:
        servers: Starts proxies and broker.
        bootstrap: A broker that is there, `HOST:PORT[,HOST:PORT…]`; None: the embedded one.
        rate: Calls a second.
    """
    with ExitStack() as stack:
        topic, kafka = _open_topic(servers, bootstrap, stack)
        ledger = Ledger()
        applications = stack.enter_context(Applications(ledger))
        mesh = Mesh(servers, servers.folder / "logs", applications.ports, flush_ms=FLUSH_MS)
        mesh.start()
        shipper = Shipper(mesh.logs, topic)
        stack.callback(shipper.stop)
        shipper.start()
        traffic = Traffic(mesh.port, ledger, rate)
        stack.callback(traffic.stop)
        yield Stage(kafka=kafka, ledger=ledger, mesh=mesh, traffic=traffic, shipper=shipper)


def _open_topic(
    servers: Servers, bootstrap: str | None, stack: ExitStack
) -> tuple[Topic, KafkaSettings]:
    if bootstrap is None:
        kafka = _reading(KafkaSettings(bootstrap_servers=(start_broker(servers),)), TOPIC)
        topic = Topic(connection_options(kafka), TOPIC)
        topic.create()
        return topic, kafka
    # A user's broker may hold a topic of that name which is in earnest. How to log in to it is
    # the product's own settings.
    name = f"{TOPIC}-demo-{uuid.uuid4().hex[:8]}"
    kafka = _reading(load({"kafka": {"bootstrap_servers": bootstrap}}).kafka, name)
    topic = Topic(connection_options(kafka), name)
    topic.create()
    stack.callback(topic.delete)
    return topic, kafka


def _reading(kafka: KafkaSettings, topic: str) -> KafkaSettings:
    """The settings with which the demo's collector reads a topic, quick to notice its end."""
    changes = {
        "topics": (topic,),
        "partitions": tuple(range(PARTITIONS)),
        "end_check_s": _END_CHECK_S,
        "batch_wait_ms": _BATCH_WAIT_MS,
    }
    return kafka.model_copy(update=changes)
