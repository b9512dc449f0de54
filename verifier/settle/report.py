"""Reads what was settled: sums, windows, lines. For commands, the demo and the query API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select

from collector.db.engine import by_index
from collector.db.tables import STOPPED, batch, observation, pod, policy_version, position
from collector.keys import same_ids
from verifier.pairing.context import NO_LOSS
from verifier.pairing.lines import Verdict
from verifier.pairing.percentage import Percentage
from verifier.policies.model import Policy
from verifier.policies.stored import from_document
from verifier.settle.kept import unsettled_spans, with_gaps
from verifier.settle.ruling import rule_on
from verifier.settle.sums import COUNTED, NUMBERS, latest, loss_before, sum_up, tally_of
from verifier.settle.watermark import EvidenceRules, PartitionState, Watermark, global_watermark
from verifier.settle.windows import Span
from verifier.tables import settled_policy, settled_window

FILE_PREFIX: Final = "file:"
"""Topics that begin so are files: nothing follows once they are read to their end."""


class WindowReport(msgspec.Struct, frozen=True, kw_only=True):
    """The latest revision of a window. Times in µs since the epoch.

    `verdicts` has every verdict; lost log lines are taken off the missing ones.
    """

    policy: str
    start_us: int
    end_us: int
    revision: int
    requests: int
    requests_high: int
    verdicts: dict[str, int]
    statement: str
    reason: str
    percentage: Percentage
    paired: int
    status_differs: int
    findings: int
    settled_us: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What the settled windows of a range amount to.

    Attributes:
        policy: Its name.
        windows: How many windows with lines.
        since_us: Start of the first of them; None: there is none.
        until_us: End of the last of them.
        settled_to_us: Up to when the policy is settled; None: not at all.
        log_loss: Of the unverifiable, how many lines lost in shipping explain. The control group
            of the range tells: its windows knew no later ones, and may call them missing.
        unsettled: Stretches of the range whose lines were dropped before they were settled, as
            pairs of start and end; with any of them nothing is proven.
        too_late: Lines that came when others of their window were dropped already, ever.
    """

    policy: str
    windows: int
    since_us: int | None
    until_us: int | None
    settled_to_us: int | None
    requests: int
    requests_high: int
    verdicts: dict[str, int]
    statement: str
    reason: str
    percentage: Percentage
    paired: int
    status_differs: int
    control: int
    control_lost: int
    log_loss: int
    unsettled: list[tuple[int, int]]
    too_late: int


def partition_states(connection: Connection) -> list[PartitionState]:
    """How far each partition is read."""
    return [
        PartitionState(
            name=f"{row.topic}/{row.partition}",
            next_offset=row.next_offset,
            watermark_us=row.watermark_us,
            end_offset=row.end_offset,
            end_checked_us=row.end_checked_us,
            stopped=row.state == STOPPED,
            finished=row.topic.startswith(FILE_PREFIX)
            and row.end_offset is not None
            and row.next_offset >= row.end_offset,
        )
        for row in connection.execute(select(position))
    ]


def watermark(connection: Connection, now_us: int, rules: EvidenceRules) -> Watermark:
    """Up to when event time is complete, and who holds it there."""
    return global_watermark(partition_states(connection), now_us, rules)


def policy_names(connection: Connection) -> list[str]:
    """The policies that were ever settled, sorted."""
    query = select(settled_policy.c.policy).order_by(settled_policy.c.policy)
    return list(connection.scalars(query))


def settled_to_us(connection: Connection, policy: str) -> int | None:
    """Up to when a policy is settled, µs since the epoch; None: not at all."""
    query = select(settled_policy.c.settled_to_us).where(settled_policy.c.policy == policy)
    return connection.scalar(query)


def totals(
    connection: Connection, policy: str, since_us: int | None = None, until_us: int | None = None
) -> Totals:
    """The sum of the latest revisions of the windows in a range, ruled on as a whole.

    Args:
        connection: A reading transaction.
        policy: Its name.
        since_us: Windows that start then or later; None: all.
        until_us: Windows that start before; None: all.

    Raises:
        KeyError: There is no such policy.
    """
    number, row = sum_up(connection, latest(policy, since_us, until_us))
    tally, length_us, before = tally_of(number), 0, NO_LOSS
    if row.windows:
        length_us = row.last_us - row.first_us
        before = loss_before(connection, policy, row.first_us)
    result = rule_on(_policy(connection, policy), tally, length_us=length_us, before=before)
    unsettled = unsettled_spans(connection, policy, since_us, until_us)
    ruling = with_gaps(result.ruling, unsettled)
    c = settled_policy.c
    too_late = connection.scalar(select(c.too_late).where(c.policy == policy))
    return Totals(
        policy=policy,
        windows=row.windows,
        since_us=row.first_us,
        until_us=row.last_us,
        settled_to_us=settled_to_us(connection, policy),
        verdicts=result.verdicts,
        statement=ruling.statement.value,
        reason=ruling.reason,
        percentage=result.percentage,
        unsettled=unsettled,
        too_late=too_late or 0,
        log_loss=tally.log_loss,
        **{name: number[name] for name in NUMBERS},
    )


def latest_windows(
    connection: Connection, policy: str, limit: int, *, before_us: int | None = None
) -> list[WindowReport]:
    """The newest windows of a policy by their latest revisions, oldest first.

    Args:
        connection: A reading transaction.
        policy: Its name.
        limit: At most so many.
        before_us: Only windows that start before.
    """
    c = settled_window.c
    query = (
        select(settled_window)
        .where(*latest(policy, None, before_us))
        .order_by(c.start_us.desc())
        .limit(limit)
    )
    return [_report(row) for row in reversed(connection.execute(query).all())]


def revised(connection: Connection, policy: str, span: Span, since_us: int) -> list[WindowReport]:
    """The windows of a span that were revised since a time, in order of their starts."""
    c = settled_window.c
    query = (
        select(settled_window)
        .where(*latest(policy, span.start_us, span.end_us))
        .where(c.settled_us >= since_us, c.revision > 1)
        .order_by(c.start_us)
    )
    return [_report(row) for row in connection.execute(query)]


def lines_of(
    connection: Connection,
    request_id: str,
    since_us: int | None = None,
    until_us: int | None = None,
) -> Sequence[Row[Any]]:
    """All stored lines of a request id, by start, with pod, node, topic and partition.

    Args:
        connection: A reading transaction.
        request_id: As any proxy logged it; the trace reason inside does not matter.
        since_us: Lines that start then or later.
        until_us: Lines that start before.
    """
    c = observation.c
    query = (
        select(
            observation, pod.c.pod, pod.c.namespace, pod.c.node, batch.c.topic, batch.c.partition
        )
        .join(pod, pod.c.id == c.pod_id)
        .join(batch, batch.c.id == c.batch_id)
        .order_by(c.start_us, c.end_us, c.line_id)
    )
    if since_us is not None:
        query = query.where(c.start_us >= since_us)
    if until_us is not None:
        query = query.where(c.start_us < until_us)
    with by_index(connection):
        return connection.execute(query.where(c.request_id.in_(same_ids(request_id)))).all()


def _policy(connection: Connection, name: str) -> Policy:
    """The newest version of a policy."""
    c = policy_version.c
    document = connection.scalar(
        select(c.document).where(c.name == name).order_by(c.id.desc()).limit(1)
    )
    if document is None:
        raise KeyError(name)
    return from_document(document)


def revised_verdicts(row: Row[Any]) -> dict[str, int]:
    """The verdicts of a window's row, with log loss taken off what is missing."""
    verdicts = {verdict.value: getattr(row, verdict.value) for verdict in COUNTED}
    verdicts |= {Verdict.PENDING.value: 0}
    verdicts[Verdict.MISSING] -= row.log_loss
    verdicts[Verdict.UNVERIFIABLE] += row.log_loss
    if row.control_lost:
        # As in `settle_log_loss`: where lines are lost, the request of an orphan may be one.
        verdicts[Verdict.UNVERIFIABLE] += verdicts[Verdict.ORPHAN]
        verdicts[Verdict.ORPHAN] = 0
    return verdicts


def _report(row: Row[Any]) -> WindowReport:
    return WindowReport(
        policy=row.policy,
        start_us=row.start_us,
        end_us=row.start_us + row.size_us,
        revision=row.revision,
        requests=row.requests,
        requests_high=row.requests_high,
        verdicts=revised_verdicts(row),
        statement=row.statement,
        reason=row.reason,
        percentage=Percentage(row.declared, row.observed, row.low, row.high, row.consistent),
        paired=row.paired,
        status_differs=row.status_differs,
        findings=row.findings,
        settled_us=row.settled_us,
    )
