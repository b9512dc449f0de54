"""Incidents with what was sent of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from verifier.alerts.tables import alert_message
from verifier.api.alert_models import Delivery, Incident, IncidentAnswer
from verifier.incidents.show import incident_json
from verifier.times import iso_time, time_or_none


def incident_of(row: Any) -> Incident:
    """A row as it is told."""
    return Incident.model_validate(incident_json(row))


def with_deliveries(connection: Connection, row: Any) -> IncidentAnswer:
    """A row with all that was sent of it, in order."""
    return IncidentAnswer.model_validate(
        {**incident_json(row), "deliveries": deliveries(connection, row.id)}
    )


def deliveries(connection: Connection, incident_id: int) -> list[Delivery]:
    """What was sent of an incident, in order."""
    c = alert_message.c
    query = select(alert_message).where(c.incident_id == incident_id).order_by(c.id)
    return [
        Delivery(
            endpoint=row.endpoint,
            event_id=row.event_id,
            state=row.state,
            attempts=row.attempts,
            created_at=iso_time(row.created_us),
            delivered_at=time_or_none(row.delivered_us),
            last_attempt_at=time_or_none(row.last_attempt_us),
            last_reason=row.last_reason,
            last_status=row.last_status,
            finished_at=time_or_none(row.finished_us),
        )
        for row in connection.execute(query)
    ]
