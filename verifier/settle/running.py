"""Copies that may still be running when a window is settled: of streams. Pure.

A proxy logs a request when it ends. A copy may run for longer than its request, so what lacks of a
long one is not missing before it had as long again, up to a cap.
"""

from __future__ import annotations

from typing import Final

from verifier.pairing.doubt import doubt
from verifier.pairing.lines import Judgement, Reason, Verdict
from verifier.tables import LONG_US

CAP_US: Final = 3_600_000_000
"""No copy is waited for longer than that after its request's end."""


def awaited_us(start_us: int, end_us: int, grace_us: int) -> int:
    """Until when, in event time, the copy of a request is waited for, µs."""
    lasts_us = end_us - start_us
    return end_us + grace_us + (min(lasts_us, CAP_US) if lasts_us > LONG_US else 0)


def doubt_running(judgement: Judgement, complete_us: int, grace_us: int) -> None:
    """Rule: the copy of a long request may still be running.

    Args:
        judgement: Of one episode.
        complete_us: Up to when event time is complete.
        grace_us: The policy's.
    """
    for finding in judgement.findings:
        line = finding.lines[0]
        is_long = line.end_us - line.start_us > LONG_US
        is_awaited = awaited_us(line.start_us, line.end_us, grace_us) > complete_us
        if finding.verdict is Verdict.MISSING and is_long and is_awaited:
            doubt(judgement, finding, Reason.STILL_RUNNING)
