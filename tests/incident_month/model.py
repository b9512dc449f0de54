"""Windows of simulated traffic: what is lost, late, or drifts. Seeded; no I/O."""

from __future__ import annotations

import math
from random import Random

import msgspec

from verifier.incidents.event import Kind
from verifier.incidents.samples import WindowCounts
from verifier.statistics.compare import Answer, Compared, Pair

WINDOW_S = 10
GRACE_S = 30
"""So long after its end a window settles."""
LATE_S = 60
"""So long after a window counts its late lines are there."""
DAY_S = 86_400
SECOND_US = 1_000_000


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What is usual of a service.

    Attributes:
        a_second: Requests, by day and night on average; it varies threefold over a day.
        senders_log: Whether client lines are there, which tell how many lines are lost.
        loss: Share of lines lost in shipping, of each proxy alike.
        late: Share of lines that are late.
        late_s: By how much on average (exponential).
        declared: Percentage of requests that are mirrored.
        rollout_s: So often a new pod takes over, whose name does not tell its version.
        labels_s: So long on average (exponential) its lines come without the labels that do.
        rollout_share: Share of the requests that it receives meanwhile.
    """

    a_second: float
    senders_log: bool = True
    loss: float = 0.0001
    late: float = 0.001
    late_s: float = 20.0
    declared: float = 100.0
    rollout_s: int = 3600
    labels_s: float = 20.0
    rollout_share: float = 0.25


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong, from when on (s), in which share of the requests (0 to 1)."""

    kind: Kind
    share: float
    from_s: int


class Window(msgspec.Struct, frozen=True):
    """A window when it begins to count, and what it says once all is known.

    Attributes:
        counted: When it begins to count.
        final: After its last late line, and once the labels of new pods were told.
        final_s: When that is, in seconds of simulated time; before, nothing is settled again.
    """

    counted: WindowCounts
    final: WindowCounts
    final_s: float


def draw(random: Random, trials: int, share: float) -> int:
    """How many of independent trials succeed."""
    if trials <= 0 or share <= 0:
        return 0
    if share >= 1:
        return trials
    if share > 0.5:
        return trials - draw(random, trials, 1 - share)
    mean = trials * share
    if mean > 50:
        drawn = round(random.gauss(mean, math.sqrt(mean * (1 - share))))
        return min(trials, max(0, drawn))
    # By the gaps between successes, which are geometric: costs by successes, not by trials.
    count, place, step = 0, 0, math.log1p(-share)
    while True:
        place += int(math.log(1 - random.random()) / step) + 1
        if place > trials:
            return count
        count += 1


def window(
    random: Random, traffic: Traffic, start_s: int, confirm_s: int, drift: Drift | None
) -> Window:
    """One window of traffic."""
    wave = 1 + 0.5 * math.sin(2 * math.pi * start_s / DAY_S)
    requests = draw(random, math.ceil(4 * traffic.a_second * WINDOW_S), wave / 4)
    wrong = drift.share if drift is not None and start_s >= drift.from_s else 0.0
    kind = drift.kind if wrong and drift is not None else None
    owed = draw(random, requests, traffic.declared / 100)
    if kind is Kind.PERCENTAGE:
        owed -= draw(random, owed, wrong)
    uncopied = draw(random, owed, wrong) if kind is Kind.MISSING else 0
    lost = draw(random, owed - uncopied, traffic.loss)
    # Lines that come after the window counts, but come.
    too_late = traffic.late * math.exp(-(GRACE_S + confirm_s) / traffic.late_s)
    late = draw(random, owed - uncopied - lost, too_late)
    control = requests if traffic.senders_log else 0
    missing = uncopied + lost if traffic.declared == 100 else 0
    unverifiable = draw(random, requests, wrong) if kind in _UNVERIFIABLE else 0
    final = WindowCounts(
        start_us=start_s * SECOND_US,
        size_us=WINDOW_S * SECOND_US,
        declared=traffic.declared,
        requests=requests,
        matched=max(0, owed - uncopied - lost - unverifiable),
        missing=missing,
        unsampled=0 if traffic.declared == 100 else requests - owed + uncopied + lost,
        unverifiable=unverifiable,
        silent=unverifiable if kind is Kind.MIRROR_SILENT else 0,
        undeclared=unverifiable if kind is Kind.UNDECLARED else 0,
        unknown=unverifiable if kind is Kind.UNKNOWN_VERSION else 0,
        duplicate=draw(random, owed, wrong) if kind is Kind.DUPLICATES else 0,
        leak=draw(random, requests, wrong) if kind is Kind.LEAK else 0,
        orphan=draw(random, owed, wrong) if kind is Kind.ORPHANS else 0,
        control=control,
        control_lost=draw(random, control, traffic.loss),
    )
    settled = _before_late(final, late)
    counts_s = start_s + WINDOW_S + GRACE_S + confirm_s
    told_s = _labels_told_s(traffic, start_s)
    if told_s > counts_s:
        settled = _before_labels(Random(start_s), settled, traffic.rollout_share)
    return Window(settled, final, max(told_s, counts_s + LATE_S))


def _labels_told_s(traffic: Traffic, start_s: int) -> float:
    """When the labels of the newest pod were told, whose first lines lacked them."""
    number, since_s = divmod(start_s, traffic.rollout_s)
    # Of the pod alone, so that all its windows agree; but for few pods it is long over.
    longest_s = 40 * traffic.labels_s
    if not number or since_s > longest_s:
        return 0.0
    return start_s - since_s + Random(number).expovariate(1 / traffic.labels_s)


def _before_labels(random: Random, settled: WindowCounts, share: float) -> WindowCounts:
    """The window while nothing tells the version of a new pod that receives a share of it all."""
    unknown = draw(random, settled.matched, share)
    return msgspec.structs.replace(
        settled,
        matched=settled.matched - unknown,
        unverifiable=settled.unverifiable + unknown,
        unknown=settled.unknown + unknown,
    )


_UNVERIFIABLE = (Kind.MIRROR_SILENT, Kind.EVIDENCE_HOLE, Kind.UNDECLARED, Kind.UNKNOWN_VERSION)


def _before_late(final: WindowCounts, late: int) -> WindowCounts:
    """The window without its late copies."""
    if not late:
        return final
    name = "missing" if final.declared == 100 else "unsampled"
    changed = {"matched": final.matched - late, name: getattr(final, name) + late}
    return msgspec.structs.replace(final, **changed)


def pairs(random: Random, count: int, kind: Kind | None, wrong: float) -> Compared:
    """Answers of a sample of pairs: latencies and sizes vary, on both sides alike.

    Args:
        random: What draws.
        count: How many pairs.
        kind: Which divergence; None: there is none.
        wrong: Share of copies that have it: a 500, three times the latency, twice the size.
    """
    found = Compared()
    for _ in range(count):
        ours = Answer(200, random.lognormvariate(3, 0.5), random.randint(500, 5_000))
        hit = wrong > 0 and random.random() < wrong
        code = 500 if hit and kind is Kind.STATUS_DIVERGENCE else 200
        slower = 3.0 if hit and kind is Kind.LATENCY_DIVERGENCE else 1.0
        larger = 2 if hit and kind is Kind.SIZE_DIVERGENCE else 1
        took_ms = random.lognormvariate(3, 0.5) * slower
        theirs = Answer(code, took_ms, ours.size * larger)
        found.add(Pair(ours, theirs, random.choice(("v2-a", "v2-b"))))
    return found
