"""Why a request got its verdict: all lines of one id, how they belong together, what they say.

Pure: `check`'s files and the live database both bring their lines here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from typing import Any, Final

import msgspec

from collector.traits import Trait
from verifier.pairing.arrivals import sort_arrivals
from verifier.pairing.doubt import doubt_holes, doubt_route, doubt_sample
from verifier.pairing.episodes import episodes, first_request_us
from verifier.pairing.judge import judge
from verifier.pairing.lines import Judgement, Line, Marker, Reason, Side, Terms, Verdict
from verifier.policies.model import Policy
from verifier.times import iso_time

SIDE_WORDS: Final = {
    Side.CLIENT_LIVE: "sender, to the primary",
    Side.CLIENT_MIRROR: "sender, to the mirror",
    Side.CLIENT_OTHER: "sender, on another route",
    Side.SERVER_LIVE: "primary",
    Side.SERVER_MIRROR: "mirror",
    Side.SERVER_OTHER: "another pod",
    Side.SERVER_UNKNOWN: "pod of unknown version",
}


NO_LONGER_STORED: Final = (
    "not judged: other lines of its time are no longer stored; the verdict of its window stands"
)


class Shown(msgspec.Struct, frozen=True):
    """One line as it is shown. `started_at` is RFC 3339, UTC; `duration_ms` is in ms."""

    side: str
    pod: str
    started_at: str
    duration_ms: int
    code: int
    flags: str
    authority: str
    forwarded_for: str | None
    place: str


class Story(msgspec.Struct, frozen=True):
    """One episode: its lines and what they came to; no verdicts: lines of it may lack."""

    policy: str
    method: str
    path: str
    verdicts: dict[str, int]
    reasons: list[str]
    requests: int
    requests_high: int
    lines: list[Shown]


class Found(msgspec.Struct):
    """A line of the asked id. `line.where` is never looked at here.

    `unknown` tells that the line does not show which route its request took.
    """

    key: bytes
    policy: Policy
    line: Line
    method: str
    path: str
    shown: Shown
    unknown: bool = False


def explain(
    lines: Iterable[Found],
    terms: Callable[[Policy, int, list[Line]], Terms],
    hole: Callable[[Policy, int, int], Reason | None],
    is_whole: Callable[[Policy, int], bool] = lambda _policy, _start_us: True,
) -> list[Story]:
    """The episodes of an id in order of time, each with its verdict and why.

    Args:
        lines: All lines of the id.
        terms: The terms of a policy at a time in µs, for the lines of an episode.
        hole: Why a mirror's log may lack a line at a time; None: it may not.
        is_whole: Whether all lines about a policy at a time are still there.
    """
    keys: dict[tuple[bytes, str], list[Found]] = defaultdict(list)
    for found in lines:
        keys[found.key, found.policy.name].append(found)
    stories: list[tuple[int, Story]] = []
    for group in keys.values():
        policy = group[0].policy
        by_line = {id(found.line): found for found in group}
        for episode in episodes([found.line for found in group], policy.rules.horizon_us):
            start = first_request_us(episode)
            members = [by_line[id(line)] for line in episode]
            if not is_whole(policy, start):
                stories.append((start, _rest_of(policy, members)))
                continue
            asked = terms(policy, start, episode)
            judged = judge(episode, asked)
            if all(found.unknown for found in group):
                doubt_route(judged)
            at_policy = partial(hole, policy)
            doubt_holes(judged, at_policy)
            doubt_sample(judged, at_policy, start)
            stories.append((start, _story(policy, members, judged, asked)))
    stories.sort(key=lambda entry: entry[0])
    return [story for _, story in stories]


def is_sure(episode: list[Line], terms: Terms) -> bool:
    """Whether an episode is judged alike whosever logs are complete.

    Most are: where every line is there, nobody has to look for lines around it.

    Args:
        episode: Its lines.
        terms: What is asked of it; who logs, and `tls`, are not looked at.
    """
    first: Judgement | None = None
    for senders, primary, tls in product((False, True), repeat=3):
        known = {"senders_logged": senders, "primary_logged": primary, "tls": tls}
        judged = judge(episode, msgspec.structs.replace(terms, **known))
        judged = msgspec.structs.replace(judged, **_OF_SHARES)
        if first is not None and judged != first:
            return False
        first = judged
    return True


_OF_SHARES: Final = {"control": 0, "control_lost": 0, "unconcerned": 0, "untested": 0}
"""What says how sure a share is, and nothing of one request."""


def _rest_of(policy: Policy, members: list[Found]) -> Story:
    """What is left of an episode of which lines may be dropped: nothing is judged by it."""
    method, path = members[0].method, members[0].path
    shown = [found.shown for found in members]
    return Story(policy.name, method, path, {}, [NO_LONGER_STORED], 0, 0, shown)


def _story(policy: Policy, members: list[Found], judged: Judgement, terms: Terms) -> Story:
    names = [group.name for group in terms.mirrors] or ["the mirror"]
    reasons = [
        f"{finding.verdict.value}: {finding.reason.value.format(mirror=names[finding.mirror])}"
        for finding in judged.findings
    ]
    if judged.counts.get(Verdict.MATCHED):
        marker = _marker([found.line for found in members])
        reasons.insert(0, f"matched: the copy is told by its {marker.value}")
    if exempt := judged.counts.get(Verdict.EXEMPT):
        why = terms.exempt or Reason.NOT_CONNECTED
        reasons.append(f"exempt: {exempt}, {why.value}")
    return Story(
        policy.name,
        members[0].method,
        members[0].path,
        {verdict.value: count for verdict, count in judged.counts.items() if count},
        list(dict.fromkeys(reasons)),
        judged.requests,
        judged.requests_high,
        [found.shown for found in members],
    )


def _marker(lines: list[Line]) -> Marker:
    """What tells the copies of an episode from live traffic, the most trusted first."""
    arrivals = [line for line in lines if line.side == Side.SERVER_MIRROR]
    traits = 0
    for line in arrivals:
        traits |= line.traits
    if traits & Trait.MARKED:
        return Marker.FIELD
    if traits & Trait.SHADOW_HOST:
        return Marker.SHADOW_HOST
    live = [line for line in lines if line.side in (Side.SERVER_LIVE, Side.CLIENT_LIVE)]
    return Marker.FORWARDED if sort_arrivals(arrivals, live).copies else Marker.POLICY


def show_line(line: Line, pod: str, log: Any, place: str) -> Shown:
    """A line as it is shown.

    Args:
        line: As pairing sees it.
        pod: Who wrote it.
        log: Anything with flags, authority and forwarded_for of the line.
        place: Where it was read.
    """
    return Shown(
        SIDE_WORDS[Side(line.side)],
        pod,
        iso_time(line.start_us),
        (line.end_us - line.start_us) // 1000,
        line.code,
        log.flags,
        log.authority,
        log.forwarded_for,
        place,
    )
