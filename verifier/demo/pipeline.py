"""The product itself, as in production, on one database; here its parts are threads."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from pydantic import SecretStr
from sqlalchemy import Engine

from collector.db.engine import check_connection, open_engine, writing
from collector.db.migrate import upgrade
from collector.db.policies import record_versions
from collector.errors import MirrorproofError
from collector.service import app as collector_app
from collector.settings import (
    ApiSettings,
    CollectorSettings,
    DatabaseSettings,
    KafkaSettings,
    Settings,
    VerifierSettings,
)
from collector.settings.alerts import AlertsSettings, EndpointSettings
from collector.settings.incidents import IncidentSettings
from collector.settings.log import LogSettings
from verifier import app as verifier_app
from verifier.alerts import deliver
from verifier.api.server import Server, make_services
from verifier.demo.policy import POLICY_YAML
from verifier.demo.progress import ProgressReader
from verifier.incidents.kinds import POLICY_KINDS
from verifier.policies.model import IncidentRule, Policy, Rules
from verifier.policies.read import read_policies
from verifier.policies.stored import to_record
from verifier.together import run_together

WINDOW_S: Final = 2
GRACE_S: Final = 4.0
_HORIZON_S: Final = 1.0
"""Windows, grace and horizon of the demo are short, so that there is something to see."""
ALLOWANCE_S: Final = 1.5  # the proxies' flush, the shipper's poll, and a busy machine
POLL_S: Final = 0.25
_CONFIRM_S: Final = 1.0
_CLEAR_S: Final = 4.0
"""Incidents open and end soon, for the same reason."""
_SECRET_BYTES: Final = 24
_JOIN_S: Final = 40.0  # more than `run_together` gives its parts


class Pipeline:
    """Collector, verifier, what tells alerts, and the page.

    Args:
        kafka: Where the lines come from.
        database_url: An empty database.
        folder: Gets the policy.
        alerts: Where alerts are sent to; see `local_alerts`.
    """

    def __init__(
        self, kafka: KafkaSettings, database_url: str, folder: Path, alerts: AlertsSettings
    ) -> None:
        self._settings = demo_settings(kafka, database_url, alerts)
        self._folder = folder
        self._stop = threading.Event()
        self._engine: Engine = open_engine(self._settings.database.address())
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._failure: BaseException | None = None
        self._parts: dict[str, Callable[[threading.Event], object]] = {}
        rules = verifier_app.tick_rules(self._settings.verifier)
        self.reader: Final = ProgressReader(self._engine, rules.evidence)
        self.page_url = ""

    def start(self) -> None:
        """Migrates the database, records the policy and starts all parts.

        Raises:
            UsageError, Retryable: The database cannot be used.
        """
        file = self._folder / "policy.yaml"
        file.write_text(POLICY_YAML)
        check_connection(self._engine)
        upgrade(self._engine)
        records = [to_record(_hurried(policy)) for policy in read_policies([file])]
        with writing(self._engine) as connection:
            record_versions(connection, records, time.time_ns() // 1000)
        server = Server(make_services(self._settings, self._engine))
        self.page_url = server.url
        self._parts = {"api": server.run}
        self._thread.start()

    def check(self) -> None:
        """Makes sure that all still run. Raises MirrorproofError: what ended one."""
        if isinstance(self._failure, MirrorproofError):
            raise self._failure
        if self._failure is not None:
            message = f"{type(self._failure).__name__}: {self._failure}"
            raise MirrorproofError(message) from self._failure

    def stop(self) -> None:
        """Ends all parts and waits for them. May be called twice, and without `start`."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)
        self._engine.dispose()

    def _run(self) -> None:
        try:
            collector = collector_app.build(self._settings)
            verifier = verifier_app.build(self._settings, self._engine)
            alerts = deliver.build(self._settings, self._engine)
            alerts.declare()
            parts = {"collector": collector.run, "verifier": verifier.run, "alerts": alerts.run}
            run_together(parts | self._parts, self._stop)
        except BaseException as error:
            self._failure = error  # `check` raises it on the main thread


def local_alerts(url: str) -> AlertsSettings:
    """Alerts that go to a receiver on this machine, signed as they would be elsewhere."""
    secret = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    endpoint = EndpointSettings(
        name="demo",
        form="standard-webhooks",
        url=SecretStr(url),
        secret=SecretStr(f"whsec_{secret}"),
        allow_http=True,
        allow_private=True,
    )
    return AlertsSettings(endpoints=(endpoint,), source="demo", poll_s=POLL_S)


def demo_settings(kafka: KafkaSettings, database_url: str, alerts: AlertsSettings) -> Settings:
    """The settings of the demo: every section is given, so that the environment adds nothing."""
    return Settings(
        kafka=kafka,
        database=DatabaseSettings.model_validate({"url": database_url}),
        collector=CollectorSettings(policy_refresh_s=0.5),
        log=LogSettings(),
        verifier=VerifierSettings(
            window_s=WINDOW_S, shipping_allowance_s=ALLOWANCE_S, poll_s=POLL_S
        ),
        alerts=alerts,
        incidents=IncidentSettings(confirm_s=_CONFIRM_S),
        api=ApiSettings(listen="127.0.0.1:0"),
    )


def _hurried(policy: Policy) -> Policy:
    """The policy with times that fit the demo."""
    clear_us = round(_CLEAR_S * 1e6)
    rules = Rules(
        grace_us=round(GRACE_S * 1e6),
        horizon_us=round(_HORIZON_S * 1e6),
        incidents=tuple(IncidentRule(kind.value, clear_us=clear_us) for kind in POLICY_KINDS),
    )
    return msgspec.structs.replace(policy, rules=rules)
