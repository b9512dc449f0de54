"""An installation whose database has something of everything that metrics tell."""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import Engine, insert

from collector.db.engine import writing
from collector.db.policies import PolicyRecord, record_versions
from collector.service.process import ProcessMetrics
from collector.settings import VerifierSettings
from tests.clocks import HandClock
from tests.lines import HOST, START_US
from verifier.alerts.tables import alert_endpoint, alert_message
from verifier.app import tick_rules
from verifier.incidents.tables import incident
from verifier.standing import Standing
from verifier.tables import settled_policy

NOW_US: Final = START_US + 60_000_000


def standing(engine: Engine, process: ProcessMetrics) -> Standing:
    """How that installation stands, at `NOW_US`."""
    evidence = tick_rules(VerifierSettings()).evidence
    return Standing(engine, evidence, process, HandClock(), lambda _connection: NOW_US)


def fill(engine: Engine, policies: int) -> None:
    """An open incident, a receiver with backlog, and policies that are settled up to 20 s ago."""
    names = ["weather/forecast", *(f"weather/{number:04}" for number in range(policies - 1))]
    records = [PolicyRecord(name, "{}", (HOST,)) for name in names[1:]]
    opened = dict.fromkeys(("first_us", "last_us", "sequence", "updated_us"), 0)
    words = dict.fromkeys(("counts", "summary", "cause", "advice", "examples"), "")
    with writing(engine) as connection:
        record_versions(connection, records, START_US)
        connection.execute(
            insert(settled_policy),
            [{"policy": n, "settled_to_us": NOW_US - 20_000_000, "sizes": "[]"} for n in names],
        )
        connection.execute(
            insert(incident).values(
                policy="weather/forecast", kind="missing", severity="critical",
                opened_us=NOW_US, **opened, **words,
            )
        )  # fmt: skip
        connection.execute(
            insert(alert_endpoint).values(
                name="pager", origin="settings", form="slack", wants="{}", fingerprint="",
                created_us=0, dead=3, disabled_us=NOW_US,
            )
        )  # fmt: skip
        for event_id, state in (("a", "pending"), ("b", "repeating")):
            connection.execute(
                insert(alert_message).values(
                    endpoint="pager", event_id=event_id, incident_id=1, event=json.dumps({}),
                    created_us=NOW_US - 30_000_000, state=state, next_us=0,
                )
            )  # fmt: skip
