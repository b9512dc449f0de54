"""Feeds simulated windows to the real decisions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from random import Random

import msgspec

from collector.observation import Destination
from tests.incident_month.model import (
    DAY_S,
    GRACE_S,
    SECOND_US,
    WINDOW_S,
    Drift,
    Traffic,
    pairs,
    window,
)
from verifier.incidents.conditions import decide_condition
from verifier.incidents.decide import Corrected, decide
from verifier.incidents.divergence import LOOK_ERROR, LOOK_US, diverging
from verifier.incidents.drift import Drift as State
from verifier.incidents.drift import Now
from verifier.incidents.event import Kind, NotifyReason
from verifier.incidents.kinds import DIVERGENCES, POLICY_CONDITIONS, POLICY_KINDS
from verifier.incidents.rules import TellRules, policy_rules
from verifier.incidents.samples import samples
from verifier.incidents.scores import Sample
from verifier.policies.model import Mirror, Policy, Weighted
from verifier.settle.answers import SAMPLE
from verifier.statistics.compare import Compared
from verifier.statistics.divergence import judge_endpoints

_HOST = "forecast.weather.svc.cluster.local"
ANSWERS_S = 6 * 3600
"""Answers are simulated one by one, so that no longer stretch is."""


class Told(msgspec.Struct, frozen=True):
    """A notification: when, in seconds of simulated time, of which kind, and why."""

    at_s: int
    kind: Kind
    reason: NotifyReason


def simulate(
    seed: int,
    traffic: Traffic,
    seconds: int,
    *,
    drift: Drift | None = None,
    until_told: bool = False,
    rules: TellRules | None = None,
) -> list[Told]:
    """What is told of a stretch of traffic.

    Args:
        seed: Of all that is drawn.
        traffic: What is usual.
        seconds: How long.
        drift: What goes wrong.
        until_told: Whether only the drift's kind counts, until its first notification.
        rules: How it is told; None: by default.
    """
    tell = rules or TellRules()
    mirror = Mirror(Destination(_HOST, "v1"), traffic.declared)
    live = Weighted(Destination(_HOST, "v2"), 100)
    own = policy_rules(tell, Policy(name="a/b", hosts=(_HOST,), live=(live,), mirrors=(mirror,)))
    random, states, told = Random(seed), dict.fromkeys(POLICY_KINDS, State()), []
    kinds = [kind for kind in POLICY_KINDS if kind not in POLICY_CONDITIONS]
    if until_told and drift is not None:
        kinds = [drift.kind]
    confirm_s = tell.confirm_us // SECOND_US
    counts_s = WINDOW_S + GRACE_S + confirm_s
    late: defaultdict[int, list[dict[Kind, Corrected]]] = defaultdict(list)
    for number in range(seconds // WINDOW_S):
        start_s = number * WINDOW_S
        found = window(random, traffic, start_s, confirm_s, drift)
        new = samples(found.counted, own)
        if found.counted != found.final:
            after = samples(found.final, own)
            pairs = {kind: Corrected(new[kind], after[kind]) for kind in new.keys() & after.keys()}
            late[math.ceil((found.final_s - counts_s) / WINDOW_S)].append(pairs)
        corrections = late.pop(number, [])
        at_s = start_s + counts_s
        now = Now((start_s + WINDOW_S) * SECOND_US, at_s * SECOND_US)
        for kind in kinds:
            given = (new[kind],) if kind in new else ()
            changed = [some[kind] for some in corrections if kind in some]
            if not changed and states[kind].is_empty and is_quiet(given):
                continue
            state, reason = decide(states[kind], given, changed, now, own[kind])
            over = state.open is not None and state.open.resolved_us is not None
            states[kind] = State() if over else state
            if reason is not None:
                told.append(Told(at_s, kind, reason))
                if until_told and drift is not None:
                    return told
    return told


def is_quiet(given: Sequence[Sample]) -> bool:
    """Whether nothing of these windows drifts: where nothing is remembered, nothing is told."""
    return not any(one.bad or one.both_ways for one in given)


def simulate_answers(
    seed: int, a_second: float, seconds: int, drift: Drift | None = None
) -> list[Told]:
    """What is told of how answers differ; at most until the drift is told."""
    random = Random(seed)
    states = dict.fromkeys(DIVERGENCES, State())
    rules = policy_rules(TellRules(), Policy(name="a/b", hosts=(), live=()))
    look_s, told, hour = LOOK_US // SECOND_US, [], Compared()
    sampled = round(min(a_second * WINDOW_S, SAMPLE) * look_s / WINDOW_S)
    for at_s in range(look_s, seconds + 1, look_s):
        wrong = drift.share if drift is not None and at_s > drift.from_s else 0.0
        hour.merge(pairs(random, sampled, drift.kind if drift else None, wrong))
        found = diverging(judge_endpoints({"GET /": hour}, None, LOOK_ERROR), 0)
        for kind, state in states.items():
            holds = found[kind].condition if kind in found else None
            now = Now(at_s * SECOND_US, at_s * SECOND_US)
            state, reason = decide_condition(state, holds, now, rules[kind])
            states[kind] = State() if state.open and state.open.resolved_us else state
            if reason is not None:
                told.append(Told(at_s + GRACE_S + rules_confirm_s(), kind, reason))
                if drift is not None and kind is drift.kind:
                    return told
        if at_s % 3600 == 0:
            hour = Compared()
    return told


def rules_confirm_s() -> int:
    """So long after it is settled a window counts."""
    return TellRules().confirm_us // SECOND_US


def months(seeds: range, traffic: Traffic, days: int) -> tuple[int, int]:
    """False incidents of healthy stretches of time, and how many of them were taken back."""
    told = [one for seed in seeds for one in simulate(seed, traffic, days * DAY_S)]
    first = sum(one.reason is NotifyReason.FIRST for one in told)
    return first, sum(one.reason is NotifyReason.RESOLVED for one in told)


def detection_s(seeds: range, traffic: Traffic, kind: Kind, share: float, days: int) -> list[int]:
    """How long a drift goes untold, in seconds of event time, sorted; untold ones are left out."""
    # Answers are added up by the hour: one before would cost time, and change nothing.
    begin_s = 0 if kind in DIVERGENCES else 3600
    found = []
    for seed in seeds:
        drift = Drift(kind=kind, share=share, from_s=begin_s)
        until_s = begin_s + days * DAY_S
        if kind in DIVERGENCES:
            told = simulate_answers(seed, traffic.a_second, min(until_s, ANSWERS_S), drift)
        else:
            told = simulate(seed, traffic, until_s, drift=drift, until_told=True)
        found += [one.at_s - begin_s for one in told if one.kind is kind]
    return sorted(found)
