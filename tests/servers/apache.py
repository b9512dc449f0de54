"""Apache Kafka itself, one KRaft node, from its jars on Maven Central; needs Java 17 and Maven."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.certificates import Certificates, create_certificates
from tests.servers.kafka import KafkaBroker, MutualTls, Scram, Tls
from tests.servers.process import Command, ServerError, folder, free_ports, run, running

_POM: Final = Path(__file__).parent / "kafka-pom.xml"
_NEEDED: Final = ("java", "mvn", "openssl")
_START_TIMEOUT_S: Final = 90.0
_JAVA: Final = ("java", "-XX:+UseSerialGC", "-Xmx512m")
_USER: Final = "mirrorproof"
_HOST: Final = "127.0.0.1"
_LISTENERS: Final = {
    "PLAINTEXT": "PLAINTEXT",
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "LOGINTLS": "SASL_SSL",
    "CONTROLLER": "PLAINTEXT",
    "LOGIN": "SASL_PLAINTEXT",
}
"""Name of each listener, and what it speaks."""
_SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_MODULE: Final = "org.apache.kafka.common.security"


def apache_available() -> bool:
    """Whether this machine has what it takes."""
    return all(shutil.which(program) for program in _NEEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApacheNode:
    """A server that can be run several times, on the same files and ports.

    Attributes:
        home: Its files; topics are in `data`.
        at: The address of each listener.
    """

    home: Path
    at: Mapping[str, str]
    certificates: Certificates
    password: str

    @contextlib.contextmanager
    def running(self, stop_signal: signal.Signals = signal.SIGTERM) -> Iterator[KafkaBroker]:
        """Runs it as long as the block; killed at its end, it leaves all as it happens to be.

        Raises:
            ServerError: It does not start.
        """
        command = Command(
            arguments=[*_JAVA, "-cp", f"{jars()}/*", "kafka.Kafka", str(self.properties)],
            log=self.home / "kafka.log",
            stop_signal=stop_signal,
        )
        port = int(self.at["LOGIN"].rpartition(":")[2])
        with running(command, port=port, timeout_s=_START_TIMEOUT_S):
            yield self._broker()

    @property
    def properties(self) -> Path:
        """The file of its settings."""
        return self.home / "server.properties"

    def _broker(self) -> KafkaBroker:
        made = self.certificates
        return KafkaBroker(
            bootstrap=self.at["PLAINTEXT"],
            kind=f"Apache Kafka {_version()}",
            groups=True,
            tls=Tls(bootstrap=self.at["TLS"], ca_file=made.authority),
            scram=Scram(
                bootstrap=self.at["LOGIN"],
                username=_USER,
                password=self.password,
                bootstrap_tls=self.at["LOGINTLS"],
            ),
            mutual_tls=MutualTls(
                bootstrap=self.at["MUTUAL"],
                ca_file=made.authority,
                cert_file=made.client,
                key_file=made.client_key,
            ),
        )


@contextlib.contextmanager
def apache_node() -> Iterator[ApacheNode]:
    """Makes the files of a server with a listener of each kind.

    Raises:
        ServerError: Its jars cannot be had.
    """
    if not apache_available():
        raise ServerError(f"Apache Kafka needs {', '.join(_NEEDED)} on this machine")
    ports = dict(zip(_LISTENERS, free_ports(len(_LISTENERS)), strict=True))
    at = {name: f"{_HOST}:{port}" for name, port in ports.items()}
    password = secrets.token_urlsafe(12)
    with folder("kafka") as home:
        made = create_certificates(home)
        node = ApacheNode(home=home, at=at, certificates=made, password=password)
        node.properties.write_text(_properties(home, made, at, password))
        _format(f"{jars()}/*", node.properties, password)
        yield node


@contextlib.contextmanager
def apache_kafka() -> Iterator[KafkaBroker]:
    """Starts the server; about 5 s once it has the jars.

    Raises:
        ServerError: Its jars cannot be had, or it does not start.
    """
    with apache_node() as node, node.running() as broker:
        yield broker


def _version() -> str:
    found = re.search("<kafka.version>(.+?)</kafka.version>", _POM.read_text())
    if found is None:
        raise ServerError(f"{_POM} names no kafka.version")
    return found[1]


def jars() -> Path:
    """The folder of the jars, fetched by Maven when they are not in the cache yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mirrorproof"
    found = cache / f"kafka-{_version()}"
    if not found.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as fetched:
            maven = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
            run([*maven, f"-DoutputDirectory={fetched}/jars"])
            # A rename: whoever else fetches at the same time never sees half a folder.
            with contextlib.suppress(OSError):
                Path(fetched, "jars").rename(found)
    return found


def _format(classpath: str, properties: Path, password: str) -> None:
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    users = [f"{kind}=[name={_USER},password={password}]" for kind in _SCRAM]
    tool = ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "kafka.tools.StorageTool"]
    # With "=": a cluster id may begin with a dash.
    added = [word for user in users for word in ("-S", user)]
    run([*tool, "format", f"--cluster-id={cluster_id}", "-c", str(properties), *added])


def _logins(listener: str, password: str) -> str:
    """The settings of a listener that takes a user's password in each of the three ways."""
    prefix = f"listener.name.{listener}"
    known = f'username="{_USER}" password="{password}" user_{_USER}="{password}"'
    ways = {
        "plain": f"{_MODULE}.plain.PlainLoginModule required {known};",
        **{way.lower(): f"{_MODULE}.scram.ScramLoginModule required;" for way in _SCRAM},
    }
    lines = [f"{prefix}.{way}.sasl.jaas.config={value}" for way, value in ways.items()]
    return "\n".join([f"{prefix}.sasl.enabled.mechanisms=PLAIN,{','.join(_SCRAM)}", *lines])


def _certified(listener: str, made: Certificates) -> str:
    prefix = f"listener.name.{listener}.ssl"
    return f"""\
{prefix}.keystore.type=PEM
{prefix}.keystore.location={made.server}
{prefix}.truststore.type=PEM
{prefix}.truststore.location={made.authority}"""


def _properties(home: Path, made: Certificates, at: Mapping[str, str], password: str) -> str:
    listeners = {name: f"{name}://{address}" for name, address in at.items()}
    advertised = [listener for name, listener in listeners.items() if name != "CONTROLLER"]
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{at["CONTROLLER"]}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners={",".join(listeners.values())}
advertised.listeners={",".join(advertised)}
listener.security.protocol.map={",".join(f"{n}:{kind}" for n, kind in _LISTENERS.items())}
{_logins("login", password)}
{_logins("logintls", password)}
{_certified("tls", made)}
{_certified("logintls", made)}
{_certified("mutual", made)}
listener.name.mutual.ssl.client.auth=required
log.dirs={home / "data"}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
"""
