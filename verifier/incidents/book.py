"""Writes what was decided: the incident's row, the notification with its messages, the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from verifier.alerts.outbox import enqueue
from verifier.incidents import store
from verifier.incidents.advice import advice
from verifier.incidents.causes import Cause, likely_cause
from verifier.incidents.describe import counts, summary
from verifier.incidents.drift import Drift, Open
from verifier.incidents.event import Event, Kind, NotifyReason, Status, event_id
from verifier.incidents.scene import Told, read_scene
from verifier.incidents.store import Key
from verifier.settle.versions import Version


class Book:
    """Writes inside one settling transaction.

    Args:
        connection: The transaction.
        settled_to: Up to when each policy is settled, µs.
        now_us: The database's clock.
    """

    def __init__(self, connection: Connection, settled_to: Mapping[str, int], now_us: int) -> None:
        self._connection: Final = connection
        self._settled_to: Final = settled_to
        self._now_us: Final = now_us
        self.events: Final[list[Event]] = []

    def keep(
        self,
        key: Key,
        before: Drift,
        after: Drift,
        reason: NotifyReason | None,
        *,
        version: Version | None = None,
        detail: str = "",
    ) -> None:
        """Writes what changed of a kind of a policy.

        Args:
            key: Policy and kind.
            before: What was remembered.
            after: What is remembered from now on.
            reason: Why it is told; None: it is not.
            version: The policy version in force; None: there is none.
            detail: What the summary says more exactly; empty: nothing.
        """
        if after == before:
            return
        known = after.open
        if known is not None:
            if not known.incident_id:
                known = self._open(key, known, after, detail)
                after = msgspec.structs.replace(after, open=known)
            if reason is not None:
                self._tell(key, known, after, reason, version=version, detail=detail)
            self._update(key, known, after, detail, told=reason is not None)
            if known.resolved_us is not None:
                after = Drift()
        store.save_state(self._connection, key, after)

    def _open(self, key: Key, known: Open, after: Drift, detail: str) -> Open:
        policy, kind = key
        number = store.open_incident(
            self._connection,
            {
                "policy": policy,
                "kind": kind.value,
                "severity": known.severity.value,
                "opened_us": known.opened_us,
                "first_us": known.first_us,
                "last_us": known.last_us,
                "sequence": 0,
                "counts": msgspec.json.encode(counts(kind, known)).decode(),
                "summary": summary(kind, policy, known, after.share, detail),
                "cause": "",
                "advice": "",
                "examples": "[]",
                "updated_us": self._now_us,
            },
        )
        return msgspec.structs.replace(known, incident_id=number)

    def _tell(
        self,
        key: Key,
        known: Open,
        after: Drift,
        reason: NotifyReason,
        *,
        version: Version | None,
        detail: str,
    ) -> None:
        """One event, its messages, and what the row says of it."""
        policy, kind = key
        told, cause = self._look(kind, known, version)
        event = Event(
            id=event_id(known.incident_id, known.sequence),
            incident_id=known.incident_id,
            sequence=known.sequence,
            kind=kind,
            policy=policy,
            severity=known.severity,
            reason=reason,
            status=Status.FIRING if known.resolved_us is None else Status.RESOLVED,
            at_us=self._now_us,
            opened_us=known.opened_us,
            first_us=known.first_us,
            last_us=known.last_us,
            resolved_us=known.resolved_us,
            counts=counts(kind, known),
            summary=summary(kind, policy, known, after.share, detail),
            cause=cause.text,
            advice=advice(kind, cause.code, version.policy if version else None),
            examples=told.examples,
        )
        enqueue(self._connection, event, self._now_us)
        store.update_incident(self._connection, known.incident_id, store.told_values(event))
        self.events.append(event)

    def _look(self, kind: Kind, known: Open, version: Version | None) -> tuple[Told, Cause]:
        if version is None or kind is Kind.LINT:
            return Told(), Cause()
        horizon_us = self._settled_to.get(version.policy.name, known.last_us)
        told = read_scene(self._connection, kind, version, known, horizon_us)
        return told, likely_cause(told.scene)

    def _update(self, key: Key, known: Open, after: Drift, detail: str, *, told: bool) -> None:
        """What changes of an incident's row with every tick that counts."""
        policy, kind = key
        values: dict[str, Any] = {
            "first_us": known.first_us,
            "last_us": known.last_us,
            "severity": known.severity.value,
            "resolved_us": known.resolved_us,
            "ended": None if known.ended is None else known.ended.value,
            "updated_us": self._now_us,
        }
        if not told:
            values["counts"] = msgspec.json.encode(counts(kind, known)).decode()
            values["summary"] = summary(kind, policy, known, after.share, detail)
        store.update_incident(self._connection, known.incident_id, values)
