"""The outbox on both databases: what is written, claimed, recorded, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from collector.db.engine import open_engine, writing
from tests.events import OPENED_US, make_event, resolved
from verifier.alerts.outbox import enqueue
from verifier.alerts.tables import alert_endpoint, alert_message
from verifier.incidents.event import Event, Kind, Severity

pytestmark = pytest.mark.integration
NOW = OPENED_US


@pytest.fixture
def engine(migrated_database_url: str) -> Iterator[Engine]:
    """A migrated database."""
    found = open_engine(migrated_database_url)
    yield found
    found.dispose()


def declare(engine: Engine, name: str, wants: str = "{}", **changed: Any) -> None:
    """Makes an endpoint known."""
    row = {
        "name": name,
        "origin": "settings",
        "form": "standard-webhooks",
        "wants": wants,
        "fingerprint": "",
        "created_us": NOW,
        **changed,
    }
    with writing(engine) as connection:
        connection.execute(insert(alert_endpoint).values(row))


def tell(engine: Engine, event: Event, now_us: int = NOW) -> int:
    """Enqueues in a transaction of its own."""
    with writing(engine) as connection:
        return enqueue(connection, event, now_us)


def rows(engine: Engine) -> list[Any]:
    """All messages."""
    with engine.connect() as connection:
        return list(connection.execute(select(alert_message).order_by(alert_message.c.id)))


# --- what is written


def test_every_enabled_endpoint_that_wants_an_event_gets_a_message(engine: Engine) -> None:
    """Filters and switches are those of the endpoint."""
    declare(engine, "all")
    declare(engine, "leaks", '{"kinds":["leak"]}')
    declare(engine, "off", disabled_us=NOW, disabled_reason="410 Gone")

    assert tell(engine, make_event()) == 1
    assert tell(engine, make_event(kind=Kind.LEAK, incident_id=8)) == 2
    assert [row.endpoint for row in rows(engine)] == ["all", "all", "leaks"]


def test_without_endpoints_nothing_is_written(engine: Engine) -> None:
    """Nobody listens, and that is no error."""
    assert tell(engine, make_event()) == 0
    assert rows(engine) == []


def test_the_same_event_is_written_once(engine: Engine) -> None:
    """A decision that is made again, after a crash, tells nothing twice."""
    declare(engine, "all")
    tell(engine, make_event())

    assert tell(engine, make_event()) == 0
    assert len(rows(engine)) == 1


def test_what_is_rolled_back_is_not_told(engine: Engine) -> None:
    """The message belongs to the transaction that decides."""
    declare(engine, "all")
    connection = engine.connect()
    with connection.begin() as transaction:
        assert enqueue(connection, make_event(), NOW) == 1
        transaction.rollback()
    connection.close()

    assert rows(engine) == []


def test_a_resolution_reaches_whoever_heard_of_the_incident(engine: Engine) -> None:
    """Although it is less severe now than the endpoint asks for."""
    declare(engine, "pager", '{"least_severity":"critical"}')
    tell(engine, make_event())

    assert tell(engine, resolved(severity=Severity.WARNING)) == 1
    assert tell(engine, resolved(incident_id=8, severity=Severity.WARNING)) == 0
