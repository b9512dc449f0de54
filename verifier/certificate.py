"""A certificate: what was stated of a range, and the digests that it rests on.

It holds what anybody needs to see later whether the database still says the same: the sums of the
windows as they stood then, one digest over the digests of all their revisions, and the head of the
policy's chain. It is checked against the chain as `verifier.settle.audit` follows it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, func, select

from collector.db.kept import kept_from, lines_kept_from
from verifier.pairing.lines import Verdict
from verifier.settle.audit import FINDINGS, follow
from verifier.settle.kept import judged_from_us
from verifier.settle.report import totals
from verifier.settle.versions import recorded
from verifier.settle.windows import Span
from verifier.tables import chain_head, settled_window
from verifier.times import iso_time

FORM: Final = "mirrorproof-certificate-1"
_SUMMED: Final = (
    *(verdict.value for verdict in Verdict if verdict is not Verdict.PENDING),
    "requests", "requests_high", "log_loss", "control", "control_lost", "paired", "status_differs",
)  # fmt: skip
_DIGEST_BYTES: Final = 32


def make(connection: Connection, policy: str, span: Span, now_us: int) -> dict[str, Any]:
    """The certificate of a range, to be signed.

    Args:
        connection: One snapshot.
        policy: Its name; something of it was settled.
        span: Whole windows, µs since the epoch.
        now_us: The database's clock.
    """
    found = totals(connection, policy, span.start_us, span.end_us)
    c = chain_head.c
    head = connection.execute(select(c.anchor, c.digest).where(c.policy == policy)).one_or_none()
    ids = select(func.max(settled_window.c.id)).where(settled_window.c.policy == policy)
    last_id = connection.scalar(ids) or 0
    settled = found.settled_to_us is not None and found.settled_to_us >= span.end_us
    proves = found.statement if settled or found.statement == "violated" else "not_proven"
    reason = found.reason if proves == found.statement else "not all of the range is settled"
    return {
        "form": FORM,
        "policy": policy,
        "since_us": span.start_us,
        "until_us": span.end_us,
        "since": iso_time(span.start_us),
        "until": iso_time(span.end_us),
        "issued_us": now_us,
        "issued": iso_time(now_us),
        "statement": proves,
        "reason": reason,
        "windows": found.windows,
        "verdicts": found.verdicts,
        "sums": _sums(connection, policy, span, last_id),
        "policy_versions": _versions(connection, policy, span),
        "chain": {
            "anchor": "" if head is None else bytes(head.anchor).hex(),
            "head": "" if head is None else bytes(head.digest).hex(),
        },
        "digest": _digest(connection, policy, span, last_id),
        "recomputable": _recomputable(connection, policy, span),
    }


def misfits(connection: Connection, certificate: dict[str, Any]) -> list[str]:
    """What the database says otherwise than the certificate; empty: it says the same.

    Args:
        connection: One snapshot.
        certificate: As `make` made it; its signature is checked elsewhere.

    Raises:
        KeyError, TypeError, ValueError: It has another form.
    """
    if certificate["form"] != FORM:
        raise ValueError(f"is no {FORM}")
    policy, span = str(certificate["policy"]), _span_of(certificate)
    chain, found = follow(connection, policy), []
    if chain.broken is not None:
        found.append(f"the chain of {policy} does not fit: {chain.broken.why}")
    last_id = _id_of(connection, policy, str(certificate["chain"]["head"]))
    if last_id is None:
        return [*found, "the head of the chain as it was then is not in the chain any more"]
    if _digest(connection, policy, span, last_id) != certificate["digest"]:
        found.append("the windows of the range are not those of then, or were changed")
    if _sums(connection, policy, span, last_id) != certificate["sums"]:
        found.append("the sums of the range are not those of then")
    return found


def revised_since(connection: Connection, certificate: dict[str, Any]) -> int:
    """How many revisions the windows of the range got since: that is no misfit."""
    c = settled_window.c
    span = _span_of(certificate)
    last_id = _id_of(connection, certificate["policy"], certificate["chain"]["head"]) or 0
    query = select(func.count()).where(
        c.policy == certificate["policy"],
        c.start_us >= span.start_us,
        c.start_us < span.end_us,
        c.id > last_id,
    )
    return connection.scalar(query) or 0


def _span_of(certificate: dict[str, Any]) -> Span:
    return Span(int(certificate["since_us"]), int(certificate["until_us"]))


def _id_of(connection: Connection, policy: str, digest: str) -> int | None:
    """The row of a policy's chain with a digest; its id tells what was there then.

    Times would not: a transaction that began earlier may commit after a certificate was made.
    """
    c = settled_window.c
    query = select(c.id).where(c.policy == policy, c.digest == bytes.fromhex(digest))
    return connection.scalar(query.limit(1))


def _until_then(policy: str, span: Span, last_id: int) -> list[ColumnElement[bool]]:
    """The revisions of a range up to a row of the chain."""
    c = settled_window.c
    return [
        c.policy == policy,
        c.start_us >= span.start_us,
        c.start_us < span.end_us,
        c.id <= last_id,
    ]


def _sums(connection: Connection, policy: str, span: Span, last_id: int) -> dict[str, int]:
    """The sums of the windows by the revisions that were the latest then."""
    c = settled_window.c
    latest = (
        select(c.start_us, func.max(c.revision).label("revision"))
        .where(*_until_then(policy, span, last_id))
        .group_by(c.start_us)
        .subquery()
    )
    columns = [func.coalesce(func.sum(c[name]), 0) for name in _SUMMED]
    query = select(*columns).join_from(
        settled_window,
        latest,
        and_(c.start_us == latest.c.start_us, c.revision == latest.c.revision),
    )
    row = connection.execute(query.where(c.policy == policy)).one()
    return dict(zip(_SUMMED, (int(value) for value in row), strict=True))


def _digest(connection: Connection, policy: str, span: Span, last_id: int) -> str:
    """One digest over those of all revisions, in the order of the chain."""
    c = settled_window.c
    query = select(c.digest).where(*_until_then(policy, span, last_id)).order_by(c.id)
    whole = blake2b(digest_size=_DIGEST_BYTES)
    for digest in connection.scalars(query):
        whole.update(bytes(digest))
    return whole.hexdigest()


def _versions(connection: Connection, policy: str, span: Span) -> list[dict[str, Any]]:
    """The versions that were in force in a range."""
    return [
        {"version": one.id, "recorded": iso_time(one.recorded_us)}
        for one in recorded(connection)
        if one.policy.name == policy
        and (one.valid_from_us is None or one.valid_from_us < span.end_us)
        and (one.valid_to_us is None or one.valid_to_us > span.start_us)
    ]


def _recomputable(connection: Connection, policy: str, span: Span) -> dict[str, Any]:
    """What is still there to judge the range anew."""
    horizons = [
        one.policy.rules.horizon_us for one in recorded(connection) if one.policy.name == policy
    ]
    lines = span.start_us >= judged_from_us(connection, max(horizons, default=0))
    kept_us, findings_us = lines_kept_from(connection), kept_from(connection, FINDINGS)
    return {
        "from_lines": lines,
        "lines_kept_from": None if kept_us is None else iso_time(kept_us),
        "findings_kept_from": None if findings_us is None else iso_time(findings_us),
    }
