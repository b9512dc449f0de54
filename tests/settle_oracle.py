"""Judges the lines of a test in memory: what settling has to come to, without database or SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collector.observation import Destination
from collector.records import Role
from tests.settling import PODS, SECOND, SUBSETS, Given, key_of
from verifier.pairing.context import settle_surplus
from verifier.pairing.doubt import FIRST_ERROR, doubt_holes, doubt_sample, only_errors_logged
from verifier.pairing.episodes import episodes, first_request_us
from verifier.pairing.judge import judge
from verifier.pairing.lines import Line, Reason, Side, Terms, Verdict
from verifier.pairing.tally import Tally
from verifier.policies.model import Policy
from verifier.policies.resolve import PodVersions
from verifier.sides import Sides, mirror_destinations, mirror_groups

CLIENTS = (Side.CLIENT_LIVE, Side.CLIENT_MIRROR, Side.CLIENT_OTHER)


class Oracle:
    """The verdicts of lines by one policy that takes all requests, in force since ever."""

    def __init__(self, policy: Policy, lines: Sequence[Given]) -> None:
        self._policy = policy
        self._sides = Sides(policy)
        self._versions = PodVersions((policy,))
        self._keys: dict[bytes, list[Line]] = {}
        for number, given in enumerate(lines):
            line = self._line(given, number)
            if line is not None:
                self._keys.setdefault(key_of(given.key, given.path), []).append(line)
        every = [line for found in self._keys.values() for line in found]
        self._senders = {x.start_us // SECOND for x in every if x.side in CLIENTS}
        self._primary = {x.start_us // SECOND for x in every if x.side is Side.SERVER_LIVE}
        served = {
            self._versions.destination(PODS[x.pod.partition("@")[0]])
            for x in lines
            if x.real_role is Role.SERVER
        }
        self._spoke = [to in served for to in mirror_destinations(policy)]
        self._filtered = [self._looks_filtered(lines, to) for to in mirror_destinations(policy)]

    def _line(self, given: Given, number: int) -> Line | None:
        name = given.pod.partition("@")[0]
        is_client = name.startswith("client")
        to = SUBSETS[given.to] if is_client else None
        unrouted = given.real_role is Role.UNROUTED
        serves = self._versions.sure if unrouted else self._versions.destination
        owner = self._versions.belongs(PODS[name])
        part = self._sides.side(int(given.real_role), to, serves(PODS[name]), owner)
        if part is None:
            return None
        return Line(
            part[0], part[1], given.start_us, given.start_us + given.duration_us, given.code,
            given.traits, given.attempt, list(PODS).index(name),
            1_000_000 + number if given.line_id is None else given.line_id,
        )  # fmt: skip

    def _looks_filtered(self, lines: Sequence[Given], mirror: Destination) -> bool:
        """Whether a mirror logged errors only; told lines are all within twenty minutes."""
        served = {
            n if x.line_id is None else x.line_id: (x, self._versions.destination(PODS[x.pod]))
            for n, x in enumerate(lines)
            if x.real_role is Role.SERVER
        }.values()
        codes = [x.code for x, to in served if to == mirror]
        errors = sum(code >= FIRST_ERROR for code in codes)
        requests = sum(to in {one.destination for one in self._policy.live} for _, to in served)
        return only_errors_logged(errors, len(codes) - errors, requests)

    def tallies(self, size_us: int) -> dict[int, Tally]:
        """What is judged of each window, by its start."""
        found: dict[int, Tally] = {}
        for lines in self._keys.values():
            for episode in episodes(lines, self._policy.rules.horizon_us):
                start = first_request_us(episode)
                judgement = judge(episode, self._terms(start))
                doubt_holes(judgement, self._hole)
                doubt_sample(judgement, self._hole, start)
                window = start // size_us * size_us
                found.setdefault(window, Tally(10_000)).add(judgement)
        failing = {second for tally in found.values() for second in tally.failures}
        for tally in found.values():
            settle_surplus(tally, failing)
        return found

    def _terms(self, start_us: int) -> Terms:
        return Terms(
            mirror_groups(self._policy),
            self._policy.rules.horizon_us,
            senders_logged=_near(self._senders, start_us),
            primary_logged=_near(self._primary, start_us),
        )

    def _hole(self, mirror: int, _start_us: int) -> Reason | None:
        if not self._spoke[mirror]:
            return Reason.MIRROR_SILENT
        return Reason.MIRROR_ERRORS_ONLY if self._filtered[mirror] else None


def _near(seconds: set[int], start_us: int) -> bool:
    """Whether a side wrote a line in the 30 seconds before, or the 5 seconds after a time."""
    first, last = (start_us - 30 * SECOND) // SECOND, (start_us + 5 * SECOND) // SECOND
    return any(second in seconds for second in range(first, last + 1))


def numbers(tally: Tally) -> dict[str, int]:
    """The numbers of a tally as the columns of a window."""
    counted = {v.value: tally.counts.get(v, 0) for v in Verdict if v is not Verdict.PENDING}
    return counted | {
        "requests": tally.requests,
        "requests_high": tally.requests_high,
        "control": tally.control,
        "control_lost": tally.control_lost,
        "paired": tally.paired,
        "status_differs": tally.status_differs,
        "failures": sum(tally.failures.values()),
        "failing_seconds": len(tally.failures),
        "findings": len(tally.findings),
    }


def summed(all_numbers: Iterable[dict[str, int]]) -> dict[str, int]:
    """Sums, number by number; zeros are left out."""
    total: dict[str, int] = {}
    for one in all_numbers:
        for name, number in one.items():
            total[name] = total.get(name, 0) + number
    return {name: number for name, number in total.items() if number}
