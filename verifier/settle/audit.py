"""Is what was stated still what is stored? Follows the chain of a policy's windows.

Everything that a row and its findings say goes into its digest, see `chain`; what is edited after
it was written, `superseded_us`, must follow from the rows. The first row that does not fit is
named: what stands behind it may be right or wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, exists, select

from collector.db.kept import kept_from
from collector.db.policies import version_digest
from collector.db.tables import policy_version
from verifier.settle.chain import digest_of
from verifier.tables import chain_head, erasure, finding, settled_window

FINDINGS: Final = "findings"
"""Names the time from which findings are kept, see `collector.db.kept`."""
_PAGE: Final = 500


class Broken(msgspec.Struct, frozen=True):
    """The first row that does not fit.

    Attributes:
        policy: Its policy.
        window_start_us: Start of its window, µs since the epoch; None: the end of the chain.
        revision: Of the window; 0: the end of the chain.
        why: In words.
    """

    policy: str
    window_start_us: int | None
    revision: int
    why: str


class Chain(msgspec.Struct, frozen=True):
    """The chain of one policy.

    Attributes:
        policy: Its name.
        rows: How many fit.
        anchor: The digest that the first row rests on; empty: it is the first there was, none
            were dropped by retention.
        head: The digest of the last row that fits.
        broken: What does not fit; None: all of it fits.
        linked: How many of the rows are checked by their links to others only, as retention
            dropped findings of theirs, which their digests cover, too, or somebody had them
            erased.
    """

    policy: str
    rows: int
    anchor: bytes
    head: bytes
    broken: Broken | None
    linked: int = 0


def policies(connection: Connection) -> list[str]:
    """The policies that have a chain, or rows of one, sorted."""
    found: set[str] = set()
    for column in (chain_head.c.policy, settled_window.c.policy, finding.c.policy):
        found.update(connection.scalars(select(column).distinct()))
    return sorted(found)


def follow(
    connection: Connection, policy: str, on_digest: Callable[[bytes], object] = lambda _digest: None
) -> Chain:
    """Follows the chain of a policy from its first row that is stored.

    Args:
        connection: One snapshot.
        policy: Its name.
        on_digest: Told the digest of every row that fits.
    """
    versions, ends = _versions(connection), _ends(connection, policy)
    head = ends[0]
    rows = linked = 0
    kept_us = kept_from(connection, FINDINGS) or 0
    for page in _pages(connection, policy):
        findings, nexts = _findings(connection, page), _successors(connection, page)
        erased = _erased(connection, page)
        for row in page:
            told = findings[row.start_us, row.revision]
            whole = len(told) >= row.findings or row.settled_us >= kept_us
            whole = whole and (row.start_us, row.revision) not in erased
            version = versions.get(row.policy_version_id)
            why = _misfit(row, told, nexts, head, version, whole=whole)
            if why:
                broken = Broken(policy, row.start_us, row.revision, why)
                return Chain(policy, rows, ends[0], head, broken, linked)
            head = bytes(row.digest)
            rows, linked = rows + 1, linked + (not whole)
            on_digest(head)
    broken_end = _misfit_of_end(connection, policy, head, ends[1])
    return Chain(policy, rows, ends[0], head, broken_end, linked)


def _misfit(
    row: Row[Any],
    findings: Sequence[Row[Any]],
    nexts: dict[tuple[int, int], int],
    previous: bytes,
    version: tuple[bytes, int | None] | None,
    *,
    whole: bool,
) -> str:
    """Why a row does not fit; empty when it does. A digest needs the whole row: all findings."""
    if bytes(row.previous_digest) != previous:
        return "rows before it are missing, or were put in"
    if version is None:
        return "its policy version is not stored, or was changed"
    told = [one._asdict() for one in findings]
    if whole and digest_of(previous, version, dict(row._mapping), told) != bytes(row.digest):
        return "it, its findings or its policy version were changed"
    if nexts.get((row.start_us, row.revision)) != row.superseded_us:
        return "it is not superseded as its revisions say"
    if any(one.superseded_us != row.superseded_us for one in findings):
        return "its findings are not superseded with it"
    return ""


def _ends(connection: Connection, policy: str) -> tuple[bytes, bytes]:
    """What the first row rests on, and the digest of the last one, as they were written down."""
    c = chain_head.c
    row = connection.execute(select(c.anchor, c.digest).where(c.policy == policy)).one_or_none()
    return (b"", b"") if row is None else (bytes(row.anchor), bytes(row.digest))


def _misfit_of_end(
    connection: Connection, policy: str, head: bytes, expected: bytes
) -> Broken | None:
    """What does not fit although every row does."""
    if head != expected:
        return Broken(policy, None, 0, "rows at the end of the chain are missing, or were put in")
    w, f = settled_window.c, finding.c
    window = (w.policy == f.policy, w.start_us == f.window_start_us, w.revision == f.revision)
    orphan = connection.execute(
        select(f.window_start_us, f.revision)
        .where(f.policy == policy, ~exists(select(w.id).where(*window)))
        .limit(1)
    ).one_or_none()
    if orphan is not None:
        return Broken(policy, orphan.window_start_us, orphan.revision, "findings without a window")
    return None


def _pages(connection: Connection, policy: str) -> Iterator[Sequence[Row[Any]]]:
    """The rows of a policy in commit order."""
    c = settled_window.c
    last = -1
    query = select(settled_window).where(c.policy == policy).order_by(c.id).limit(_PAGE)
    while page := connection.execute(query.where(c.id > last)).all():
        yield page
        last = page[-1].id


def _findings(
    connection: Connection, page: Sequence[Row[Any]]
) -> dict[tuple[int, int], list[Row[Any]]]:
    """The findings of a page, by window and revision."""
    c = finding.c
    starts = sorted({row.start_us for row in page})
    query = select(finding).where(c.policy == page[0].policy, c.window_start_us.in_(starts))
    found: dict[tuple[int, int], list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.window_start_us, row.revision].append(row)
    return found


def _erased(connection: Connection, page: Sequence[Row[Any]]) -> set[tuple[int, int]]:
    """The revisions of a page of which findings were erased at somebody's request."""
    c = erasure.c
    starts = sorted({row.start_us for row in page})
    query = select(c.window_start_us, c.revision).where(
        c.policy == page[0].policy, c.window_start_us.in_(starts)
    )
    return {(row[0], row[1]) for row in connection.execute(query)}


def _successors(connection: Connection, page: Sequence[Row[Any]]) -> dict[tuple[int, int], int]:
    """When the revision after each was settled, for those that have one."""
    c = settled_window.c
    starts = sorted({row.start_us for row in page})
    query = select(c.start_us, c.revision, c.settled_us).where(
        c.policy == page[0].policy, c.start_us.in_(starts)
    )
    return {(row.start_us, row.revision - 1): row.settled_us for row in connection.execute(query)}


def _versions(connection: Connection) -> dict[int, tuple[bytes, int | None]]:
    """Digest and begin of the policy versions that are as they were recorded."""
    c = policy_version.c
    found = {}
    query = select(c.id, c.document, c.hosts, c.digest, c.valid_from_us)
    for row in connection.execute(query):
        if version_digest(row.document, row.hosts) == bytes(row.digest):
            found[row.id] = (bytes(row.digest), row.valid_from_us)
    return found
