"""Apache Kafka itself, one KRaft node, from its jars on Maven Central; needs Java 17 and Maven."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.servers.certificates import Certificates, create_certificates
from tests.servers.kafka import KafkaBroker, Scram, Tls
from tests.servers.process import Command, ServerError, folder, free_ports, run, running

_POM: Final = Path(__file__).parent / "kafka-pom.xml"
_NEEDED: Final = ("java", "mvn", "openssl")
_START_TIMEOUT_S: Final = 90.0
_JAVA: Final = ("java", "-XX:+UseSerialGC", "-Xmx512m")
_USER: Final = "mirrorproof"


def apache_available() -> bool:
    """Whether this machine has what it takes."""
    return all(shutil.which(program) for program in _NEEDED)


@contextlib.contextmanager
def apache_kafka() -> Iterator[KafkaBroker]:
    """Starts the server with a plain, a TLS and a SCRAM listener; about 5 s once it has the jars.

    Raises:
        ServerError: Its jars cannot be had, or it does not start.
    """
    if not apache_available():
        raise ServerError(f"Apache Kafka needs {', '.join(_NEEDED)} on this machine")
    classpath = f"{_jars()}/*"
    plain, tls, scram, controller = free_ports(4)
    password = secrets.token_urlsafe(12)
    with folder("kafka") as home:
        certificates = create_certificates(home)
        properties = home / "server.properties"
        properties.write_text(_properties(home, certificates, plain, tls, scram, controller))
        _format(classpath, properties, password)
        command = Command(
            arguments=[*_JAVA, "-cp", classpath, "kafka.Kafka", str(properties)],
            log=home / "kafka.log",
        )
        with running(command, port=scram, timeout_s=_START_TIMEOUT_S):
            yield KafkaBroker(
                bootstrap=f"127.0.0.1:{plain}",
                kind=f"Apache Kafka {_version()}",
                groups=True,
                tls=Tls(bootstrap=f"127.0.0.1:{tls}", ca_file=certificates.authority),
                scram=Scram(bootstrap=f"127.0.0.1:{scram}", username=_USER, password=password),
            )


def _version() -> str:
    found = re.search("<kafka.version>(.+?)</kafka.version>", _POM.read_text())
    if found is None:
        raise ServerError(f"{_POM} names no kafka.version")
    return found[1]


def _jars() -> Path:
    """The folder of the jars, fetched by Maven when they are not in the cache yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mirrorproof"
    jars = cache / f"kafka-{_version()}"
    if not jars.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as fetched:
            maven = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
            run([*maven, f"-DoutputDirectory={fetched}/jars"])
            # A rename: whoever else fetches at the same time never sees half a folder.
            with contextlib.suppress(OSError):
                Path(fetched, "jars").rename(jars)
    return jars


def _format(classpath: str, properties: Path, password: str) -> None:
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    user = f"SCRAM-SHA-512=[name={_USER},password={password}]"
    tool = ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "kafka.tools.StorageTool"]
    # With "=": a cluster id may begin with a dash.
    run([*tool, "format", f"--cluster-id={cluster_id}", "-c", str(properties), "-S", user])


def _properties(
    home: Path, certificates: Certificates, plain: int, tls: int, scram: int, controller: int
) -> str:
    host = "127.0.0.1"
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://{host}:{plain},TLS://{host}:{tls},SCRAM://{host}:{scram},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{plain},TLS://{host}:{tls},SCRAM://{host}:{scram}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,TLS:SSL,SCRAM:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location={certificates.server}
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
