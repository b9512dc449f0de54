"""A second opinion: brute force, written from DESIGN section 3 and not from the code.

It tries every way of chaining attempts into requests and every draw of the sampled mirrors, and
takes what DESIGN says is certain: the fewest requests, then the fewest lacking copies. It is slow
and only for small episodes. It knows marked copies and marked live traffic; telling them apart is
tested elsewhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from collector.traits import Trait
from verifier.pairing.lines import Line, Side, Terms

CLOCKS_US = 50_000  # DESIGN says "followed"; this is how far clocks may differ


def _partitions(items: list[Line]) -> Iterator[list[list[Line]]]:
    """All ways to split items into ordered chains."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for smaller in _partitions(rest):
        yield [[first], *smaller]
        for i, chain in enumerate(smaller):
            for place in range(len(chain) + 1):
                grown = [*chain[:place], first, *chain[place:]]
                yield [*smaller[:i], grown, *smaller[i + 1 :]]


def _is_retry(earlier: Line, later: Line, horizon_us: int) -> bool:
    failed = earlier.code >= 500 or earlier.code == 0 or bool(earlier.traits & Trait.FAILED)
    gap = later.start_us - earlier.end_us
    # A success on another pod, whose clock runs behind, may seem to come before the failure.
    success = later.code < 500 and later.code != 0 and not later.traits & Trait.FAILED
    ordered = later.start_us >= earlier.start_us or (success and later.pod != earlier.pod)
    return failed and ordered and -CLOCKS_US <= gap <= horizon_us


def _chains(attempts: list[Line], horizon_us: int) -> Iterator[list[list[Line]]]:
    for chains in _partitions(attempts):
        if all(
            _is_retry(a, b, horizon_us) for chain in chains for a, b in itertools.pairwise(chain)
        ):
            yield chains


def fewest_chains(attempts: list[Line], horizon_us: int) -> int:
    """The fewest requests that explain all attempts."""
    return min(len(chains) for chains in _chains(attempts, horizon_us))


@dataclass
class Opinion:
    """What the oracle says: requests by kind, then verdicts."""

    requests: int = 0
    requests_high: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    unclear: bool = False
    """Which attempt ended a request cannot be told: two answers are right."""


@dataclass
class _Kinds:
    firm: int = 0
    optional: int = 0
    further: int = 0
    never: int = 0
    bypassed: int = 0
    unclear: bool = False


def _kinds(lines: list[Line], horizon_us: int) -> _Kinds:
    """How many requests of each kind there are at least, and how many further ones at most."""
    clients = [x for x in lines if x.side == Side.CLIENT_LIVE]
    attempts = [x for x in lines if x.side == Side.SERVER_LIVE]
    elsewhere = sum(x.side == Side.CLIENT_OTHER for x in lines)
    never = [x for x in clients if x.traits & (Trait.UNMIRRORED | Trait.NOT_ROUTED)]
    clients = [x for x in clients if x not in never]
    if not clients and not never:
        never = [x for x in attempts if x.traits & Trait.UNMIRRORED]
    attempts = [x for x in attempts if not x.traits & Trait.UNMIRRORED]
    chains = fewest_chains(attempts, horizon_us)
    kinds = _Kinds(never=len(never), bypassed=min(elsewhere, chains))
    chains -= kinds.bypassed
    if not clients:
        # A request is abandoned when its last attempt was; which chain it is may vary.
        ways = [
            sum(bool(chain[-1].traits & Trait.ABANDONED) for chain in found)
            for found in _chains(attempts, horizon_us)
            if len(found) == chains + kinds.bypassed
        ]
        kinds.optional = min([*ways, chains])
        kinds.unclear = len(set(ways)) > 1 or (kinds.bypassed > 0 and max(ways) > 0)
        kinds.firm = chains - kinds.optional
        kinds.further = len(attempts) - kinds.bypassed - chains
        return kinds
    left = sum(bool(x.traits & Trait.ABANDONED) for x in clients)
    unreached = sum(bool(x.traits & Trait.NEVER_CONNECTED) for x in clients)
    answered = len(clients) - left - unreached
    more = max(0, chains - answered - left)  # attempts of requests that did not just work
    reached = min(more, unreached)
    kinds.firm = answered + reached + (more - reached)
    kinds.optional = left + unreached - reached
    covered = sum(
        any(c.start_us - CLOCKS_US <= x.start_us <= c.end_us + CLOCKS_US for c in clients)
        for x in attempts
    )
    kinds.further = max(0, len(attempts) - covered - kinds.bypassed - (more - reached))
    return kinds


def _owed(draw: float, percents: tuple[float, ...]) -> int:
    """Copies that a request with this draw owes a group: one to each mirror above the draw."""
    return sum(draw < percent for percent in percents)


def oracle(lines: list[Line], terms: Terms) -> Opinion:
    """Judges one episode whose lines are all readable, and whose arrivals are all marked."""
    kinds = _kinds(lines, terms.horizon_us)
    said = Opinion(unclear=kinds.unclear)
    certain = kinds.firm + kinds.optional + kinds.never + kinds.bypassed
    said.requests_high = certain + kinds.further
    if not terms.mirrors or terms.exempt is not None:
        said.requests = certain
        said.verdicts = {"exempt": certain} if certain else {}
        return said
    copies = [0] * len(terms.mirrors)
    live = [0] * len(terms.mirrors)
    sent = [0] * len(terms.mirrors)
    for x in lines:
        if x.side == Side.SERVER_MIRROR:
            (copies if x.traits & Trait.SHADOW_HOST else live)[x.mirror] += 1
        elif x.side == Side.CLIENT_MIRROR:
            sent[x.mirror] += 1
    leaks = sum(max(pair) for pair in zip(live, sent, strict=True))
    # What a pod of unknown version received may be a copy, or a request with one.
    unknown = sum(x.side == Side.SERVER_UNKNOWN for x in lines)
    strange = unknown + sum(x.side == Side.SERVER_OTHER for x in lines)
    others = kinds.optional + kinds.further + kinds.never + leaks + strange
    sizes = [len(group.percents) for group in terms.mirrors]
    surplus = sum(
        max(0, c - (kinds.firm + others) * size) for c, size in zip(copies, sizes, strict=True)
    )
    lacking, unsampled, arrived = _best_draw(kinds.firm, others, copies, terms)
    optional = min(kinds.optional, max(0, arrived - kinds.firm))
    further = min(kinds.further, max(0, arrived - kinds.firm - kinds.optional - leaks))
    said.requests = certain + further
    doubted = min(strange, lacking)
    lacking -= doubted
    undrawn = min(unsampled, strange - doubted)
    unsampled -= undrawn
    doubted += undrawn
    known = bool(certain or others)
    senders = terms.senders_logged or any(
        x.side in (Side.CLIENT_LIVE, Side.CLIENT_MIRROR) for x in lines
    )
    odd = "duplicate" if known else "orphan" if senders else "unverifiable"
    said.verdicts = {
        "matched": kinds.firm - doubted - lacking - unsampled + optional + further,
        "missing": lacking,
        "unsampled": unsampled,
        "exempt": kinds.never + kinds.bypassed + kinds.optional - optional,
        "leak": leaks,
        "unverifiable": doubted + max(0, unknown - doubted),
    }
    said.verdicts[odd] = said.verdicts.get(odd, 0) + surplus
    said.verdicts = {verdict: count for verdict, count in said.verdicts.items() if count}
    return said


def _best_draw(firm: int, others: int, copies: list[int], terms: Terms) -> tuple[int, int, int]:
    """Requests lacking a copy, requests unsampled, and how many the largest mirrors show.

    Every request has one draw from 0 to 100. Of all draws under which the arrivals make sense,
    the one with the fewest lacking copies is taken, and the most sampled requests of those.
    """
    groups = [group.percents for group in terms.mirrors]
    bounds = sorted({percent for percents in groups for percent in percents})
    draws = [0.0, *bounds]  # a draw of 0 is below every mirror, one of 100 below none
    best: tuple[int, int] | None = None
    for chosen in itertools.combinations_with_replacement(draws, firm):
        owed = [sum(_owed(draw, percents) for draw in chosen) for percents in groups]
        room = [o + others * len(p) for o, p in zip(owed, groups, strict=True)]
        most = [(firm + others) * len(p) for p in groups]
        explained = all(min(c, m) <= r for c, r, m in zip(copies, room, most, strict=True))
        if not explained or any(draw >= 100 for draw in chosen):
            continue
        debtors = [sum(_owed(draw, percents) > 0 for draw in chosen) for percents in groups]
        lacking = max(min(d, max(0, o - c)) for d, o, c in zip(debtors, owed, copies, strict=True))
        unsampled = sum(all(draw >= p for ps in groups for p in ps) for draw in chosen)
        if best is None or (lacking, unsampled) < best:
            best = (lacking, unsampled)
    assert best is not None
    top = max(bounds)
    arrived = min(c // p.count(top) for c, p in zip(copies, groups, strict=True) if top in p)
    return (*best, arrived)
