"""A deliverer for tests; as a program, one that can be killed.

python -m tests.alerting DATABASE_URL RECEIVER_URL    delivers until it is killed
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event as Flag
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update

from collector.clock import SystemClock
from collector.db.engine import open_engine, writing
from collector.settings.alerts import EndpointSettings
from verifier.alerts.deliver import Deliverer
from verifier.alerts.endpoints import Endpoint, of_settings
from verifier.alerts.lines import Lines
from verifier.alerts.outbox import enqueue
from verifier.alerts.parts import Parts
from verifier.alerts.senders import Sender, Senders
from verifier.alerts.tables import alert_endpoint, alert_message
from verifier.alerts.vault import Vault
from verifier.incidents.event import Event
from verifier.settle.lease import database_now_us

SECRET = "whsec_" + "A" * 32


class Time:
    """The database's clock, which tests turn forward."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def __call__(self, connection: Connection) -> int:
        return database_now_us(connection) + self.ahead_us

    def fly(self, engine: Engine) -> None:
        """Turns it to when the next message is due, if nothing is on its way or due now."""
        c = alert_message.c
        with engine.connect() as connection:
            open_ = select(func.min(c.next_us), func.count(c.claimed_until_us))
            next_us, sent = connection.execute(open_.where(c.finished_us.is_(None))).one()
            hold_us = connection.scalar(select(func.max(alert_endpoint.c.hold_us))) or 0
            if next_us is not None and not sent:
                self.ahead_us += max(0, max(next_us, hold_us) - self(connection))


def make_endpoint(name: str, url: str | None, **more: Any) -> Endpoint:
    """A receiver on this machine."""
    given = {"name": name, "form": "standard-webhooks", "url": url, "secret": SECRET}
    own = {**given, "allow_http": True, "allow_private": True, **more}
    (found,) = of_settings(EndpointSettings.model_validate(own))
    return found


def sender(form: str, url: str | None, **more: Any) -> Sender:
    """What sends to a receiver of a form."""
    secret = SECRET if form in ("standard-webhooks", "pagerduty") else None
    endpoint = make_endpoint("a", url, **{"form": form, "secret": secret, **more})
    return Senders(SystemClock(), Lines(), source="tests").sender(endpoint)


def make_deliverer(
    engine: Engine,
    endpoints: list[Endpoint],
    now_us: Callable[[Connection], int] | None = None,
    vault: Vault | None = None,
) -> Deliverer:
    """A deliverer that looks often and leaves soon; its endpoints are declared."""
    lines, clock = Lines(), SystemClock()
    parts = Parts(
        engine=engine,
        clock=clock,
        endpoints=endpoints,
        senders=Senders(clock, lines, source="tests"),
        lines=lines,
        poll_s=0.02,
        database_now_us=now_us or database_now_us,
        grace_s=0.2,
        vault=vault or Vault(),
    )
    found = Deliverer(parts)
    found.declare()
    return found


def tell(engine: Engine, *events: Event) -> None:
    """Enqueues events, each in a transaction of its own."""
    for event in events:
        with writing(engine) as connection:
            enqueue(connection, event, database_now_us(connection))


def unfinished(engine: Engine) -> int:
    """How many messages are still to be sent."""
    with engine.connect() as connection:
        query = select(alert_message.c.id).where(alert_message.c.finished_us.is_(None))
        return len(connection.execute(query).all())


def states(engine: Engine) -> list[str]:
    """Of all messages."""
    with engine.connect() as connection:
        query = select(alert_message.c.state).order_by(alert_message.c.id)
        return list(connection.scalars(query))


def expire_claims(engine: Engine) -> None:
    """Has all claims be over, as if their time had passed."""
    with writing(engine) as connection:
        c = alert_message.c
        connection.execute(
            update(alert_message).where(c.claimed_until_us.is_not(None)).values(claimed_until_us=1)
        )


if __name__ == "__main__":
    engine_ = open_engine(sys.argv[1])
    make_deliverer(engine_, [make_endpoint("hook", sys.argv[2])]).run(Flag())
