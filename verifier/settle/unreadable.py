"""Copies whose line may be among those that could not be read: cut off on the way, for example."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, select

from collector.db.tables import quarantine
from collector.records import Identity
from collector.sources.file import pod_of_file
from collector.sources.protocol import Partition
from verifier.pairing.lines import Finding, Reason, Verdict
from verifier.pairing.tally import Tally
from verifier.settle.cast import Cast

_MOST: Final = 2_000
"""Fragments that are looked through; where more cannot be read, somebody is alerted of that."""
_words: Final = re.compile(r"[a-z0-9.-]+").findall


def doubt_unreadable(
    connection: Connection, cast: Cast, tallies: Iterable[Tally], since_us: int
) -> None:
    """Rule: a line that cannot be read may be the copy, when it shows the id or the request.

    Each fragment explains one missing copy.

    Args:
        connection: In the settling transaction.
        cast: Of the policy version.
        tallies: Of windows; missing copies with findings become unverifiable.
        since_us: Start of the first window.
    """
    missing = [
        (tally, one)
        for tally in tallies
        for one in tally.findings
        if one.verdict is Verdict.MISSING
    ]
    if not missing:
        return
    fragments = _fragments(connection, cast, since_us)
    # Whoever shows an id is told by it; the others may have been cut off before it.
    for shows in (_shows_id, _shows_path):
        for tally, one in missing:
            if one.verdict is not Verdict.MISSING:
                continue
            found = next((text for text in fragments if shows(text, one)), None)
            if found is not None:
                fragments.remove(found)
                tally.move(Verdict.MISSING, Verdict.UNVERIFIABLE, one.count)
                one.verdict, one.reason = Verdict.UNVERIFIABLE, Reason.MIRROR_UNREADABLE


def _fragments(connection: Connection, cast: Cast, since_us: int) -> list[bytes]:
    """What could not be read since a time and may be of a mirror's pod."""
    c = quarantine.c
    waiting = select(c.topic, c.prefix).where(c.at_us >= since_us, c.replayed_us.is_(None))
    rows = connection.execute(waiting.order_by(c.id).limit(_MOST))
    others = cast.other_pods()
    return [bytes(row.prefix) for row in rows if _of_mirror(row, cast, others)]


def _of_mirror(row: Any, cast: Cast, others: Collection[str]) -> bool:
    """Whether a fragment may be of a mirror: neither its file nor its envelope says otherwise."""
    pod = pod_of_file(Partition(row.topic, 0))
    if pod:
        return cast.mirror_of(Identity(pod=pod)) is not None
    return not any(name in others for name in names_in(bytes(row.prefix)))


def names_in(text: bytes) -> Iterator[str]:
    """What may be a pod's name in a text: words of the letters of names, and their ends.

    In tags of files a name stands behind dots, `kube.var.log.containers.NAME_NAMESPACE_…`.
    """
    for word in set(_words(text.decode("utf-8", "replace"))):
        end = word
        while end:
            yield end
            end = end.partition(".")[2]


def _shows_id(text: bytes, one: Finding) -> bool:
    return one.lines[0].where.request_id.encode() in text


def _shows_path(text: bytes, one: Finding) -> bool:
    path = one.lines[0].where.path.partition("?")[0].encode()
    return any(path + end in text for end in (b" ", b"?", b'"', b"\\"))
