"""What windows say of a kind, as counts, and how strongly they say that a drift is over. Pure.

That a drift began is decided by `verifier.statistics.sequential`, whose false alarms are counted
by the year. Whether one ended need not wait for so much: people look at it already, and the share
to compare with is known.
"""

from __future__ import annotations

import math

import msgspec

from verifier.statistics.sequential import YEAR_US, Copied, Lost, Watch, watch_loss, watch_share


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What one window says of one kind. Times in µs of event time.

    Attributes:
        start_us: The window's start.
        end_us: Its end.
        bad: How many drift, of `total`; where `both_ways`, how many have what a share should have.
        total: How many could.
        share: Up to which share is tolerated; where `both_ways`, the declared share.
        both_ways: Whether a share below is wrong, too.
        doubtful: Further ones, of which any may be among `bad`; where `both_ways` only.
        lost: Of the control group: how many look as bad for a reason that is no drift.
        control: Its size; 0: there is none.
    """

    start_us: int
    end_us: int
    bad: int
    total: int
    share: float
    both_ways: bool = False
    doubtful: int = 0
    lost: int = 0
    control: int = 0


def watched(watch: Watch, sample: Sample, alarms_a_year: float) -> Watch:
    """The watch over a kind after one more window; the empty one where nothing speaks for it."""
    span = (sample.start_us, sample.end_us)
    if sample.both_ways:
        copied = Copied(*span, sample.bad, sample.total, sample.doubtful)
        after = watch_share(watch, copied, sample.share, alarms_a_year)
    else:
        lost = Lost(*span, sample.bad, sample.total, sample.lost, sample.control)
        after = watch_loss(watch, lost, sample.share, alarms_a_year)
    # With the next window every track would begin anew.
    entry = math.log((sample.end_us - sample.start_us) / YEAR_US)
    idle = after.decided_us is None and all(one.evidence <= entry for one in after.tracks)
    return Watch() if idle else after


def gain(bad: int, total: int, share: float, odds: float) -> float:
    """How much better `odds` times the odds of a share explain `bad` of `total`, as a logarithm.

    Args:
        bad: How many drift.
        total: Of how many.
        share: Between 0 and 1, without either.
        odds: Above 0.
    """
    other = share * odds / (1 - share + share * odds)
    return bad * math.log(other / share) + (total - bad) * math.log((1 - other) / (1 - share))
