"""What settled windows wait for: a log that proves alive, a copy that runs, a pod's version."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, select

from verifier.pairing.lines import Reason
from verifier.pairing.tally import PASSING, Tally
from verifier.settle.around import FEW_KEYS, around
from verifier.settle.clocks import Clocks
from verifier.settle.progress import Progress
from verifier.settle.running import awaited_us
from verifier.settle.silence import Silence
from verifier.settle.versions import Version
from verifier.settle.windows import SECOND_US
from verifier.tables import finding, settled_window

_OF_VERSIONS = (Reason.UNKNOWN_VERSION.value, Reason.UNKNOWN_RECEIVER.value)


def recheck_us(version: Version, silence: Callable[[Version], Silence], tally: Tally) -> int | None:
    """What a window waits for: see `Silence.recheck_us`; None: for nothing."""
    grace_us = version.policy.rules.grace_us
    known = (*tally.findings, *tally.waiting.values())
    passing = [one for one in known if one.reason in PASSING]
    running = [
        awaited_us(one.lines[0].start_us, one.lines[0].end_us, grace_us)
        for one in passing
        if one.reason is Reason.STILL_RUNNING
    ]
    doubts = [
        (one.reason, one.start_us) for one in passing if one.reason is not Reason.STILL_RUNNING
    ]
    found = silence(version).recheck_us(doubts) if doubts else None
    if not running:
        return found
    return max(*running, found or 0)


def revived(
    connection: Connection,
    name: str,
    since_us: int,
    watermark_us: int,
    silence_at: Callable[[int], Silence | None],
) -> Iterator[int]:
    """The starts of windows of which what they waited for came true.

    Args:
        connection: In the settling transaction.
        name: The policy.
        since_us: Of windows that start then or later.
        watermark_us: Up to when event time is complete.
        silence_at: What is known of the mirrors' logs by the version of a time.
    """
    c = settled_window.c
    query = select(c.start_us, c.recheck_us).where(
        c.policy == name,
        c.start_us >= since_us,
        c.recheck_us.is_not(None),
        c.recheck_us <= watermark_us,
        c.superseded_us.is_(None),
    )
    for row in connection.execute(query):
        silence = silence_at(row.start_us)
        if silence is not None and silence.is_over(row.recheck_us, row.start_us):
            yield row.start_us


def renamed(
    connection: Connection,
    name: str,
    since_us: int,
    progress: Progress,
    horizon_us: int,
    clocks: Clocks,
) -> set[int]:
    """The starts of windows that may change once labels of pods are told.

    Those in which pods of unknown version received requests, and those to which such a request
    may belong: its first line may have been one that nobody took for a request before.

    Args:
        connection: In the settling transaction.
        name: The policy.
        since_us: Of windows that start then or later.
        progress: How far it is settled.
        horizon_us: Its longest horizon.
        clocks: How far the clocks of its pods are ahead.
    """
    w, c = settled_window.c, finding.c
    doubtful = select(w.start_us).where(
        w.policy == name, w.start_us >= since_us, w.superseded_us.is_(None), w.unverifiable > 0
    )
    is_of_versions = (
        c.policy == name,
        c.window_start_us.in_(doubtful),
        c.superseded_us.is_(None),
        c.reason.in_(_OF_VERSIONS),
    )
    starts = set(connection.scalars(select(c.window_start_us).where(*is_of_versions).distinct()))
    if not starts:
        return starts
    keys = select(c.key).where(*is_of_versions).distinct().limit(FEW_KEYS + 1)
    seconds = sorted(
        second
        for window in map(progress.grid.window, starts)
        for second in range(window.start_us // SECOND_US, window.end_us // SECOND_US)
    )
    found = [bytes(key) for key in connection.scalars(keys)]
    return starts | around(connection, name, seconds, found, progress, horizon_us, clocks)
