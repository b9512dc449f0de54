"""An API over a database, asked without a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine, make_url

from collector.db.engine import writing
from collector.service.process import ProcessMetrics
from collector.settings import ApiSettings, DatabaseSettings, Settings
from collector.settings.alerts import AlertsSettings
from tests.clocks import HandClock
from verifier.api import keys
from verifier.api.app import create_app
from verifier.api.scopes import Scope
from verifier.api.services import Services

LOCAL = ("127.0.0.1", 50_000)
ELSEWHERE = ("192.0.2.7", 50_000)


def services_of(
    engine: Engine, now_us: int, alerts: AlertsSettings | None = None, **api: Any
) -> Services:
    """What the routes work with, at a fixed time of the database."""
    url = make_url(engine.url).render_as_string(hide_password=False)
    settings = Settings(
        database=DatabaseSettings(url=url),
        api=ApiSettings(**({"rate_burst": 100_000} | api)),
        alerts=alerts or AlertsSettings(),
    )
    return Services(
        engine=engine,
        settings=settings,
        clock=HandClock(),
        secret=b"secret",
        now_us=lambda _connection: now_us,
    )


@contextmanager
def asking(
    services: Services,
    key: str | None = None,
    client: tuple[str, int] = LOCAL,
    process: ProcessMetrics | None = None,
) -> Iterator[TestClient]:
    """A client of a new application."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    with TestClient(
        create_app(services, process),
        base_url="http://127.0.0.1:8080",
        headers=headers,
        client=client,
        raise_server_exceptions=False,
    ) as found:
        yield found


def make_key(services: Services, *scopes: Scope, expires_us: int | None = None) -> str:
    """A key that opens these."""
    with writing(services.engine) as connection:
        now_us = services.now_us(connection)
        return keys.create(connection, "test", set(scopes), now_us, expires_us)[0]
