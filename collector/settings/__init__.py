"""All settings: names, defaults, units, and what contradicts what.

`collector.settings.environment` reads them; others get theirs by argument. Secrets are never shown,
and can be given as the name of a file that holds them (`…_file`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from collector.errors import UsageError
from collector.redact import Treatment
from collector.settings.alerts import AlertsSettings
from collector.settings.api import ApiSettings as ApiSettings
from collector.settings.cluster import ClusterSettings as ClusterSettings
from collector.settings.forms import (
    Brokers,
    DatabaseUrl,
    FileName,
    Listen,
    Partitions,
    Section,
    Texts,
    Topics,
    exclusive,
    read_secret,
)
from collector.settings.incidents import IncidentSettings
from collector.settings.log import LogSettings
from collector.settings.retention import RetentionSettings
from collector.settings.verifier import VerifierSettings as VerifierSettings

PREFIX: Final = "MIRRORPROOF_"
"""Of every environment variable that is ours."""


class KafkaSettings(Section):
    """Where the logs come from."""

    client: Literal["kafka-python", "confluent"] = Field(
        default="kafka-python",
        description="Library that reads. confluent takes less processor time and needs "
        "mirrorproof[fast].",
    )
    bootstrap_servers: Brokers = Field(
        default=("localhost:9092",),
        description="Brokers to begin with, HOST:PORT, comma separated.",
    )
    topics: Topics = Field(
        default=("istio-access-logs",), description="Topics to read, comma separated."
    )
    group: str = Field(
        default="mirrorproof", description="Consumer group; its offsets only inform lag tools."
    )
    partitions: Partitions = Field(
        default=None,
        description="Partitions to read without a consumer group, as 0-3,7. "
        "Unset: the group shares them out.",
    )
    initial_offset: Literal["earliest", "latest"] = Field(
        default="earliest", description="Where to begin in a partition that was never read."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How to talk to the brokers."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, description="How to authenticate over SASL_*."
    )
    username: str | None = Field(default=None, description="SASL user name.")
    password: SecretStr | None = Field(default=None, description="SASL password.")
    password_file: Path | None = Field(default=None, description="File with the SASL password.")
    ca_file: Path | None = Field(
        default=None,
        description="Authorities that sign the brokers' certificates, PEM. Unset: the system's.",
    )
    cert_file: Path | None = Field(default=None, description="Our certificate for mutual TLS, PEM.")
    key_file: Path | None = Field(default=None, description="Private key of cert_file, PEM.")
    connect_timeout_ms: int = Field(
        default=10_000,
        ge=100,
        le=30_000,
        description="How long one try to reach the brokers may take, milliseconds.",
    )
    start_timeout_s: float = Field(
        default=60.0,
        ge=0,
        description="How long to try to reach the brokers and the topics for the first time, "
        "seconds; then the start has failed. 0: for ever.",
    )
    session_timeout_s: float = Field(
        default=45.0,
        ge=1,
        le=300,
        description="A member of the group that is silent for so long is dead, and its partitions "
        "go to others, seconds. The brokers have limits of their own.",
    )
    batch_records: int = Field(
        default=5_000,
        ge=1,
        le=100_000,
        description="Most records read at a time; a transaction holds up to three times as many.",
    )
    batch_wait_ms: int = Field(
        default=250, ge=1, le=10_000, description="How long to wait for records, milliseconds."
    )
    end_check_s: float = Field(
        default=5.0,
        gt=0,
        le=300,
        description="How often to ask the brokers for end offsets, seconds.",
    )
    stall_s: float = Field(
        default=60.0,
        gt=0,
        description="A partition that has records and brings none for so many "
        "seconds is sought again, then the client is replaced.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        exclusive(self, "password", "password_file")
        with_sasl = self.security_protocol.startswith("SASL")
        if with_sasl != (self.sasl_mechanism is not None):
            raise ValueError("sasl_mechanism and security_protocol SASL_* need each other")
        if with_sasl and (self.username is None or not (self.password or self.password_file)):
            raise ValueError("SASL needs username and password or password_file")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file need each other")
        has_files = self.ca_file is not None or self.cert_file is not None
        if has_files and not self.security_protocol.endswith("SSL"):
            raise ValueError("ca_file and cert_file need security_protocol SSL or SASL_SSL")
        return self

    def secret(self) -> str | None:
        """The SASL password. Raises UsageError: password_file cannot be read."""
        return read_secret(self.password, self.password_file, "kafka.password_file")


class DatabaseSettings(Section):
    """Where everything is kept."""

    url: DatabaseUrl | None = Field(
        default=None,
        description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE. "
        "Unset: sqlite:///mirrorproof.db.",
    )
    url_file: FileName | None = Field(default=None, description="File with the database URL.")
    pool_size: int = Field(
        default=5, ge=1, le=100, description="Connections kept open (PostgreSQL)."
    )
    start_timeout_s: float = Field(
        default=60.0,
        ge=0,
        description="How long a collector that starts waits for the database to answer, seconds.",
    )
    partition: Literal["hour", "day"] = Field(
        default="day",
        description="How much time of ingestion a new partition of lines covers (PostgreSQL). "
        "hour: above some 2000 lines a second.",
    )
    synchronous_commit: bool = Field(
        default=True,
        description="false: a collector's commit does not wait for the server's disk "
        "(PostgreSQL). A crash of the server loses the last moments, lines and offsets together, "
        "and they are read from Kafka again: safe while Kafka keeps them.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        exclusive(self, "url", "url_file")
        return self

    def address(self) -> str:
        """The database URL, with its password. Raises UsageError: url_file has none."""
        given = read_secret(self.url, self.url_file, "database.url_file")
        if given == "":
            raise UsageError(f"database.url_file: {self.url_file} is empty; write the URL into it")
        return given or "sqlite:///mirrorproof.db"


class CollectorSettings(Section):
    """How lines are read and stored."""

    cluster: str = Field(default="", description="Cluster of the pods whose envelope names none.")
    containers: Texts = Field(
        default=("istio-proxy",),
        description="Containers whose lines count; lines of others are ignored. "
        "Lines of an unknown container always count.",
    )
    keep_query: Texts = Field(
        default=(),
        description="Query parameters stored readably, comma separated; * keeps all. "
        "The values of the others are replaced before anything is stored.",
    )
    access_log_format: str = Field(
        default="",
        description="Formats of your own, one a line, as in meshConfig.accessLogFormat: text, or a "
        "JSON object. Istio's and Envoy's defaults are always known.",
    )
    access_log_format_file: FileName | None = Field(
        default=None,
        description="File with such lines, or with the YAML of a meshConfig, an extension provider "
        "or an EnvoyFilter.",
    )
    forwarded_for: Treatment = Field(
        default="store", description="What becomes of X-Forwarded-For; hash: of each address."
    )
    user_agent: Treatment = Field(default="drop", description="What becomes of User-Agent.")
    policy_refresh_s: float = Field(
        default=3.0, gt=0, le=20, description="How often to look for changed policies, seconds."
    )
    poison_limit: int = Field(
        default=1_000,
        ge=1,
        description="Quarantined lines in a row, without one good, that stop a partition.",
    )
    poison_share: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Share of quarantined lines, among the last poison_window or more, that stops "
        "a partition.",
    )
    poison_window: int = Field(
        default=10_000, ge=1, description="Lines over which poison_share is taken."
    )
    owner: str = Field(
        default="",
        description="Name of this process in the database. Unset: host name and process id.",
    )
    health_listen: Listen = Field(
        default="",
        description="Where to answer probes, `/livez` and `/readyz`, and Prometheus, `/metrics`: "
        "HOST:PORT or :PORT for all addresses. Unset: nowhere.",
    )
    hang_s: float = Field(
        default=60.0,
        ge=1,
        description="A collector that makes no step for so many seconds hangs: `/livez` fails, "
        "it writes down what its threads do, and ends with exit status 70.",
    )


class Settings(BaseSettings):
    """All settings of the product. Made by `load`, handed on by argument."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    collector: CollectorSettings = Field(default_factory=CollectorSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    verifier: VerifierSettings = Field(default_factory=VerifierSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    alerts: AlertsSettings = Field(default_factory=AlertsSettings)
    incidents: IncidentSettings = Field(default_factory=IncidentSettings)
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
