"""Writes windows and findings: evidence that lasts.

A window's `content` is a digest over its verdicts and findings, in terms that do not depend on
when or in which order its lines came; its `digest` chains the policy's rows, see `chain`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from collector.db.tables import batch
from collector.records import Identity
from verifier.pairing.context import NO_LOSS, Loss
from verifier.pairing.lines import Finding, Line, Side, Verdict
from verifier.pairing.tally import Tally
from verifier.settle.chain import DIGEST_BYTES, digest_of
from verifier.settle.ruling import RULES_VERSION, Result, rule_on, window_error
from verifier.settle.sums import loss_before
from verifier.settle.versions import Version
from verifier.settle.windows import Span
from verifier.sides import mirror_groups
from verifier.tables import chain_head, finding, settled_window

MAX_EVIDENCE: Final = 20
"""Lines kept of one finding."""
_STORED: Final = tuple(verdict for verdict in Verdict if verdict is not Verdict.PENDING)


class Settled(msgspec.Struct, frozen=True):
    """A revision that was written.

    Attributes:
        policy: Its policy.
        window: Which window.
        revision: From 1.
        requests: Live requests.
        result: What it amounts to.
        findings: How many were stored.
    """

    policy: str
    window: Span
    revision: int
    requests: int
    result: Result
    findings: int


class Moment(msgspec.Struct, frozen=True):
    """When a window was settled: the watermark and the wall clock, µs since the epoch."""

    watermark_us: int
    now_us: int


class Recorder:
    """Writes windows inside one transaction.

    Args:
        connection: The settling transaction.
        pods: Pods by their numbers.
        moment: When that is.
    """

    def __init__(
        self, connection: Connection, pods: Mapping[int, Identity], moment: Moment
    ) -> None:
        self._connection: Final = connection
        self._pods: Final = pods
        self._moment: Final = moment
        self._batches: dict[int, tuple[str, int]] = {}

    def record(
        self, version: Version, window: Span, tally: Tally, recheck_us: int | None
    ) -> Settled | None:
        """Writes a window, unless the latest revision says the same or there is nothing to say.

        Args:
            version: The policy version in force at the window's end.
            window: The window.
            tally: What was judged of it.
            recheck_us: Settle it again when the mirrors' nodes were alive until then.
        """
        policy = version.policy
        before = self._latest(policy.name, window.start_us)
        content = self._content(version, window, tally)
        if before is None and not tally.requests and not any(tally.counts.values()):
            return None
        # What it waits for is a part of it: what came true is not waited for again at each tick.
        waits_alike = before is not None and before.recheck_us == recheck_us
        if waits_alike and bytes(before.content) == content:
            return None
        revision = 1 if before is None else before.revision + 1
        judged, size_us = _counts(tally), window.end_us - window.start_us
        before_it = self._loss_before(policy.name, window, tally)
        result = rule_on(policy, tally, before=before_it, error=window_error(size_us))
        self._supersede(policy.name, window.start_us)
        values = {
            **judged,
            "policy": policy.name,
            "start_us": window.start_us,
            "size_us": size_us,
            "revision": revision,
            "policy_version_id": version.id,
            "rules_version": RULES_VERSION,
            **_ruled(result),
            "findings": len(tally.findings),
            "recheck_us": recheck_us,
            "watermark_us": self._moment.watermark_us,
            "content": content,
            "settled_us": self._moment.now_us,
        }
        self._write(version, values, self._finding_rows(version, window, revision, tally.findings))
        return Settled(policy.name, window, revision, tally.requests, result, len(tally.findings))

    def _loss_before(self, policy: str, window: Span, tally: Tally) -> Loss:
        """What is known of log loss, where anything lacks that it may explain."""
        if not tally.counts.get(Verdict.MISSING):
            return NO_LOSS
        return loss_before(self._connection, policy, window.start_us)

    def _latest(self, policy: str, start_us: int) -> Any:
        c = settled_window.c
        return self._connection.execute(
            select(c.revision, c.content, c.recheck_us)
            .where(c.policy == policy, c.start_us == start_us)
            .order_by(c.revision.desc())
            .limit(1)
        ).one_or_none()

    def _write(
        self, version: Version, window: dict[str, Any], findings: list[dict[str, Any]]
    ) -> None:
        """Writes a window and its findings at the end of the policy's chain."""
        name = version.policy.name
        head = select(chain_head.c.digest).where(chain_head.c.policy == name)
        previous = bytes(self._connection.scalar(head) or b"")
        digest = digest_of(previous, (version.digest, version.valid_from_us), window, findings)
        linked = {**window, "digest": digest, "previous_digest": previous}
        self._connection.execute(insert(settled_window), [linked])
        if findings:
            self._connection.execute(insert(finding), findings)
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        self._connection.execute(
            dialect.insert(chain_head)
            .values(policy=name, anchor=b"", digest=digest)
            .on_conflict_do_update(index_elements=["policy"], set_={"digest": digest})
        )

    def _supersede(self, policy: str, start_us: int) -> None:
        for table, start in (
            (settled_window, settled_window.c.start_us),
            (finding, finding.c.window_start_us),
        ):
            self._connection.execute(
                update(table)
                .where(table.c.policy == policy, start == start_us, table.c.superseded_us.is_(None))
                .values(superseded_us=self._moment.now_us)
            )

    def _content(self, version: Version, window: Span, tally: Tally) -> bytes:
        """The digest of what a window says."""
        counts = _counts(tally)
        findings = sorted(self._finding_content(one) for one in tally.findings)
        said = [
            version.policy.name,
            window.start_us,
            window.end_us - window.start_us,
            blake2b(msgspec.json.encode(version.policy), digest_size=16).hexdigest(),
            RULES_VERSION,
            [counts[name] for name in sorted(counts)],
            findings,
        ]
        return blake2b(json.dumps(said).encode(), digest_size=DIGEST_BYTES).digest()

    def _finding_content(self, one: Finding) -> list[Any]:
        lines = sorted((self._pods[ln.pod].pod, ln.start_us, ln.line_id) for ln in one.lines)
        key = one.lines[0].where.key.hex()
        return [one.start_us, key, one.verdict.value, one.reason.name, one.mirror, one.count, lines]

    def _finding_rows(
        self, version: Version, window: Span, revision: int, found: list[Finding]
    ) -> list[dict[str, Any]]:
        self._learn_batches({line.where.batch_id for one in found for line in one.lines})
        names = [group.name for group in mirror_groups(version.policy)]
        return [
            {
                "policy": version.policy.name,
                "window_start_us": window.start_us,
                "revision": revision,
                **self._finding_values(one, names),
            }
            for one in found
        ]

    def _finding_values(self, one: Finding, mirrors: list[str]) -> dict[str, Any]:
        row = one.lines[0].where
        mirror = mirrors[one.mirror] if one.mirror < len(mirrors) else ""
        unique = {(line.pod, line.line_id): line for line in one.lines}
        evidence = [self._evidence(line) for line in list(unique.values())[:MAX_EVIDENCE]]
        return {
            "verdict": one.verdict.value,
            "reason": one.reason.value.format(mirror=mirror or "the mirror"),
            "mirror": mirror,
            "start_us": one.start_us,
            "count": one.count,
            "request_id": row.request_id,
            "method": row.method,
            "path": row.path,
            "key": row.key,
            "evidence": json.dumps(evidence, ensure_ascii=False),
        }

    def _evidence(self, line: Line) -> dict[str, Any]:
        """One line as people and audits see it; all of it was redacted before it was stored."""
        row = line.where
        topic, partition = self._batches.get(row.batch_id, ("", 0))
        agent = {} if row.user_agent is None else {"user_agent": row.user_agent}
        return {
            "side": Side(line.side).name.lower(),
            "pod": self._pods[line.pod].pod,
            "namespace": self._pods[line.pod].namespace,
            "start_us": line.start_us,
            "end_us": line.end_us,
            "code": line.code,
            "bytes_received": row.bytes_received,
            "flags": row.flags,
            "details": row.details,
            "authority": row.authority,
            "topic": topic,
            "partition": partition,
            "offset": row.record_offset,
            "item": row.item,
            **agent,
        }

    def _learn_batches(self, ids: Iterable[int]) -> None:
        unknown = sorted(set(ids) - self._batches.keys())
        for begin in range(0, len(unknown), 5_000):
            some = unknown[begin : begin + 5_000]
            query = select(batch.c.id, batch.c.topic, batch.c.partition)
            for row in self._connection.execute(query.where(batch.c.id.in_(some))):
                self._batches[row.id] = (row.topic, row.partition)


def _counts(tally: Tally) -> dict[str, int]:
    """All numbers of a tally."""
    return {
        **{verdict.value: tally.counts.get(verdict, 0) for verdict in _STORED},
        "requests": tally.requests,
        "requests_high": tally.requests_high,
        "control": tally.control,
        "control_lost": tally.control_lost,
        "paired": tally.paired,
        "status_differs": tally.status_differs,
        "failures": sum(tally.failures.values()),
        "failing_seconds": len(tally.failures),
    }


def _ruled(result: Result) -> dict[str, Any]:
    """What follows from the numbers, as columns."""
    return {
        "log_loss": result.log_loss,
        "statement": result.ruling.statement.value,
        "reason": result.ruling.reason,
        "declared": result.percentage.declared,
        "observed": result.percentage.observed,
        "low": result.percentage.low,
        "high": result.percentage.high,
        "consistent": result.percentage.consistent,
    }
