"""How long everything is kept, verdicts among it, and what must not be dropped yet."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event, Thread
from typing import Final

from sqlalchemy import Column, Connection, Engine, and_, func, select, update

from collector.clock import Clock, SystemClock
from collector.db.engine import disposing, open_engine
from collector.db.kept import note
from collector.db.retention import Aging, collectors_tables
from collector.db.sign_tables import presence
from collector.db.tables import policy_version
from collector.db.unseen import numbers
from collector.service.maintenance import Ages, Maintenance
from collector.settings import Settings
from collector.settings.retention import RetentionSettings
from verifier.alerts.tables import alert_message
from verifier.cluster.tables import cluster_pod
from verifier.incidents.tables import incident, silence
from verifier.settle.audit import FINDINGS
from verifier.settle.kept import needed_us
from verifier.tables import (
    chain_head,
    copy_marker,
    erasure,
    finding,
    marker_change,
    pod_clock,
    pod_hour,
    settled_window,
    unsettled,
)

_DAY_US: Final = 24 * 3_600 * 1_000_000
_NEVER_US: Final = 2**62


def maintenance(settings: Settings, engine: Engine, clock: Clock) -> Maintenance:
    """What keeps a database in order by these settings."""
    own = settings.retention
    return Maintenance(engine, clock, ages(own), settings.database.partition, own.every_s)


def start(settings: Settings, stop: Event) -> None:
    """Keeps the database in order in a thread beside a collector, until `stop` is set."""

    def run() -> None:
        with disposing(open_engine(settings.database.address())) as engine:
            maintenance(settings, engine, SystemClock()).run(stop)

    Thread(target=run, name="maintenance", daemon=True).start()


def ages(own: RetentionSettings) -> Ages:
    """How long things are kept by these settings."""
    windows = settled_window.c
    of_window = and_(
        windows.policy == finding.c.policy,
        windows.start_us == finding.c.window_start_us,
        windows.revision == finding.c.revision,
    )
    # A finding whose window is gone goes, too.
    settled_us = func.coalesce(windows.settled_us, 0)
    findings = select(finding.c.id, settled_us).outerjoin_from(finding, settled_window, of_window)
    return Ages(
        lines_us=_us(own.lines_days),
        unsettled_us=_us(own.unsettled_days),
        nodes_us=_us(own.nodes_days),
        tables=[
            *collectors_tables(_us(own.batches_days), _us(own.quarantine_days)),
            # Of a batch whose lines are kept for longer, these say the same.
            Aging(
                table=presence,
                rows=select(presence.c.id, presence.c.committed_us),
                keep_us=_us(own.lines_days),
            ),
            Aging(
                table=finding,
                rows=findings,
                keep_us=_us(own.findings_days),
                before_drop=_note_findings,
            ),
            Aging(
                table=settled_window,
                rows=select(windows.id, windows.settled_us),
                keep_us=_us(own.windows_days),
                in_order=True,  # as they are chained
                before_drop=_move_anchors,
            ),
            Aging(
                table=erasure,
                rows=select(erasure.c.id, erasure.c.at_us),
                keep_us=_us(own.windows_days),
            ),
            _policies(own),
            *_told(own),
        ],
        needed_us=needed_us,
        summaries=_summaries(own),
        # A mirror that is silent is known by the pods that it had.
        numbers=numbers(kept_by=[pod_hour.c.pod_id], along=[pod_clock.c.pod_id]),
    )


def _policies(own: RetentionSettings) -> Aging:
    """Versions that ended go with the last windows that they judged; the newest number stays."""
    c = policy_version.c
    days = (own.windows_days, own.lines_days, own.unsettled_days)
    newest = select(func.max(c.id)).scalar_subquery()
    return Aging(
        table=policy_version,
        rows=select(c.id, c.valid_to_us).where(c.valid_to_us.is_not(None), c.id < newest),
        keep_us=_us(max(days)) if all(days) else 0,
    )


def _summaries(own: RetentionSettings) -> list[tuple[Column[int], int]]:
    return [
        # Each pod's last hours are kept; pods that are gone for long say nothing any more.
        (pod_hour.c.hour_us, _us(own.nodes_days)),
        (copy_marker.c.hour_us, _us(own.windows_days)),
        (marker_change.c.start_us, _us(own.windows_days)),
        (unsettled.c.to_us, _us(own.windows_days)),
    ]


def _told(own: RetentionSettings) -> list[Aging]:
    """What people were told, and pods of the cluster."""
    messages, pods = alert_message.c, cluster_pod.c
    return [
        Aging(
            table=alert_message,
            # What is still to be sent stays.
            rows=select(messages.id, func.coalesce(messages.finished_us, _NEVER_US)),
            keep_us=_us(own.alerts_days),
        ),
        Aging(
            table=incident,
            # What is open stays.
            rows=select(incident.c.id, func.coalesce(incident.c.resolved_us, _NEVER_US)),
            keep_us=_us(own.incidents_days),
        ),
        Aging(
            table=cluster_pod,
            # What runs stays.
            rows=select(pods.id, pods.ended_us).where(pods.ended_us.is_not(None)),
            keep_us=_us(own.nodes_days),
        ),
        Aging(
            table=silence,
            rows=select(silence.c.id, silence.c.until_us),
            keep_us=_us(own.incidents_days),
        ),
    ]


def _note_findings(connection: Connection, _ids: Sequence[int], before_us: int) -> None:
    """Windows that were settled before then may lack findings that they had."""
    note(connection, FINDINGS, before_us)


def _move_anchors(connection: Connection, ids: Sequence[int], _before_us: int) -> None:
    """What remains of the policies' chains rests on the last windows that go."""
    c = settled_window.c
    lasts = select(func.max(c.id)).where(c.id.in_(ids)).group_by(c.policy)
    for row in connection.execute(select(c.policy, c.digest).where(c.id.in_(lasts))).all():
        connection.execute(
            update(chain_head).where(chain_head.c.policy == row.policy).values(anchor=row.digest)
        )


def _us(days: float) -> int:
    return round(days * _DAY_US)
