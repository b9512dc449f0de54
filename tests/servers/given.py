"""Servers that run already, named by environment variables, and the reverse.

| variable | value |
|---|---|
| MIRRORPROOF_TEST_KAFKA | `host:port` of a plain listener |
| MIRRORPROOF_TEST_KAFKA_KIND | what the test header calls it |
| MIRRORPROOF_TEST_KAFKA_TLS | `host:port` of a TLS listener |
| MIRRORPROOF_TEST_KAFKA_CA | PEM file of the authority of its certificate |
| MIRRORPROOF_TEST_KAFKA_SCRAM | `user:password@host:port` of a SASL_PLAINTEXT listener |
| MIRRORPROOF_TEST_KAFKA_SCRAM_TLS | `host:port` of the same over TLS |
| MIRRORPROOF_TEST_KAFKA_MUTUAL_TLS | `host:port` of a TLS listener that asks for a certificate |
| MIRRORPROOF_TEST_KAFKA_CERT, …_KEY | PEM files of a certificate that it takes, and its key |
| MIRRORPROOF_TEST_POSTGRES | SQLAlchemy URL; the user may create databases |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.servers.kafka import KafkaBroker, MutualTls, Scram, Tls
from tests.servers.postgres import PostgresServer


def given_kafka(environment: Mapping[str, str]) -> KafkaBroker:
    """The broker that the variables name. It is taken for one with real consumer groups."""
    tls = scram = mutual_tls = None
    if address := environment.get("MIRRORPROOF_TEST_KAFKA_TLS"):
        tls = Tls(bootstrap=address, ca_file=Path(environment["MIRRORPROOF_TEST_KAFKA_CA"]))
    if address := environment.get("MIRRORPROOF_TEST_KAFKA_MUTUAL_TLS"):
        mutual_tls = MutualTls(
            bootstrap=address,
            ca_file=Path(environment["MIRRORPROOF_TEST_KAFKA_CA"]),
            cert_file=Path(environment["MIRRORPROOF_TEST_KAFKA_CERT"]),
            key_file=Path(environment["MIRRORPROOF_TEST_KAFKA_KEY"]),
        )
    if login := environment.get("MIRRORPROOF_TEST_KAFKA_SCRAM"):
        user, _, address = login.rpartition("@")
        username, _, password = user.partition(":")
        over_tls = environment.get("MIRRORPROOF_TEST_KAFKA_SCRAM_TLS") or None
        scram = Scram(
            bootstrap=address, username=username, password=password, bootstrap_tls=over_tls
        )
    return KafkaBroker(
        bootstrap=environment["MIRRORPROOF_TEST_KAFKA"],
        kind=environment.get("MIRRORPROOF_TEST_KAFKA_KIND", "Kafka"),
        groups=True,
        tls=tls,
        scram=scram,
        mutual_tls=mutual_tls,
    )


def given_postgres(environment: Mapping[str, str]) -> PostgresServer:
    """The database server that the variable names."""
    return PostgresServer(environment["MIRRORPROOF_TEST_POSTGRES"], "PostgreSQL (given)")


def kafka_variables(broker: KafkaBroker) -> dict[str, str]:
    """The variables that name a running broker to another process."""
    variables = {
        "MIRRORPROOF_TEST_KAFKA": broker.bootstrap,
        "MIRRORPROOF_TEST_KAFKA_KIND": broker.kind,
    }
    if broker.tls:
        variables["MIRRORPROOF_TEST_KAFKA_TLS"] = broker.tls.bootstrap
        variables["MIRRORPROOF_TEST_KAFKA_CA"] = str(broker.tls.ca_file)
    if broker.scram:
        login = f"{broker.scram.username}:{broker.scram.password}"
        variables["MIRRORPROOF_TEST_KAFKA_SCRAM"] = f"{login}@{broker.scram.bootstrap}"
        variables["MIRRORPROOF_TEST_KAFKA_SCRAM_TLS"] = broker.scram.bootstrap_tls or ""
    if broker.mutual_tls:
        variables["MIRRORPROOF_TEST_KAFKA_MUTUAL_TLS"] = broker.mutual_tls.bootstrap
        variables["MIRRORPROOF_TEST_KAFKA_CA"] = str(broker.mutual_tls.ca_file)
        variables["MIRRORPROOF_TEST_KAFKA_CERT"] = str(broker.mutual_tls.cert_file)
        variables["MIRRORPROOF_TEST_KAFKA_KEY"] = str(broker.mutual_tls.key_file)
    return variables
