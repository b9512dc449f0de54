"""Takes away what people could read of one request.

What pairing needs stays: times, codes and the hash of the key, from which nothing can be read. A
window's digest covers its findings, so that erased ones are written down; `audit verify` then
checks their window by its links, as it does where retention dropped findings.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update

from collector.db.engine import by_index
from collector.db.tables import observation, quarantine
from collector.keys import same_ids
from verifier.api.models import Erased
from verifier.tables import erasure, finding

ERASED: Final = "(erased)"


def erase(connection: Connection, request_id: str, *, who: str, why: str, now_us: int) -> Erased:
    """Erases all that is stored about a request id.

    Args:
        connection: In a write transaction.
        request_id: As any proxy logged it; the trace reason inside does not matter.
        who: Asked for it.
        why: In words.
        now_us: The database's clock.
    """
    ids = same_ids(request_id)
    with by_index(connection):
        lines = connection.execute(
            update(observation)
            .where(observation.c.request_id.in_(ids))
            .values(
                request_id=ERASED,
                path=ERASED,
                authority=ERASED,
                forwarded_for=None,
                user_agent=None,
            )
        ).rowcount
    findings = _erase_findings(connection, list(ids), {"at_us": now_us, "who": who, "why": why})
    return Erased(
        request_id=request_id,
        lines=lines,
        findings=findings,
        quarantined=_erase_quarantined(connection, request_id),
    )


def _erase_findings(connection: Connection, ids: list[str], noted: dict[str, Any]) -> int:
    c = finding.c
    where = c.request_id.in_(ids)
    groups = connection.execute(
        select(c.policy, c.window_start_us, c.revision, func.count())
        .where(where)
        .group_by(c.policy, c.window_start_us, c.revision)
    ).all()
    for policy, window_start_us, revision, count in groups:
        connection.execute(
            insert(erasure).values(
                policy=policy,
                window_start_us=window_start_us,
                revision=revision,
                findings=count,
                **noted,
            )
        )
    connection.execute(delete(finding).where(where))
    return sum(group[3] for group in groups)


def _erase_quarantined(connection: Connection, request_id: str) -> int:
    """Lines that nobody could read, and that hold the id, lose their text and stay counted."""
    where = func.length(quarantine.c.prefix) > 0
    query = select(quarantine.c.id, quarantine.c.prefix).where(where)
    text = request_id.encode("utf-8", "replace")
    found = [row.id for row in connection.execute(query) if text in bytes(row.prefix)]
    for number in found:
        connection.execute(
            update(quarantine)
            .where(quarantine.c.id == number)
            .values(prefix=b"", identity="{}", sha256=b"")
        )
    return len(found)
