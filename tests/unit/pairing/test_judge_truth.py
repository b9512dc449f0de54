"""The verdicts against a simulated mesh: what really happened is known, the lines follow from it.

Unlike the oracle this knows nothing of counting: it sends requests, retries and copies, writes
down what each proxy would log, and compares the verdicts with the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import MANY
from tests.factories import arrival, attempt, client, leaking, mirror, shadow, terms
from verifier.pairing.judge import judge
from verifier.pairing.lines import Line, Verdict

SETTINGS = settings(max_examples=100 * MANY)


@dataclass
class Mesh:
    """A page view: requests under one id to one path, and what the proxies log of them."""

    random: Random
    suffix: bool
    lines: list[Line] = field(default_factory=list)
    missing: int = 0
    leaks: int = 0

    def copy(self, at: float) -> None:
        """A copy arrives: with Envoy's suffix, or with just one more forwarded address."""
        skewed = at + self.random.uniform(-20, 20)
        make = shadow if self.suffix else arrival
        self.lines.append(make(at=skewed, lasts=3, xff=1, code=self.random.choice([200, 403, 503])))

    def call(self, at: float, *, tries: int, copied: bool, reached: bool = True) -> None:
        """One live request with its tries; the last one succeeds."""
        start = at
        for number in range(tries):
            code = 200 if number == tries - 1 else 503
            if reached:
                self.lines.append(attempt(at=start, lasts=5, code=code, xff=0))
            start += 30
        code, flags = (200, "") if reached else (503, "URX,UF")
        self.lines.append(client(at=at, lasts=start - at - 20, code=code, flags=flags, xff=0))
        if copied:
            self.copy(at)
        elif reached:
            self.missing += 1

    def leak(self, at: float) -> None:
        """A live request that the sender routes to the mirror; it is copied there as well."""
        self.lines.append(leaking(at=at, lasts=5, xff=0))
        self.lines.append(arrival(at=at, lasts=3, xff=0))
        self.copy(at)
        self.leaks += 1


CALLS = st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=5)


@SETTINGS
@given(CALLS, st.booleans(), st.integers(0, 999))
def test_with_senders_logs_every_missing_copy_is_found_and_no_other(calls, suffix, seed) -> None:
    """Page views with retries: the missing ones are exactly those not copied."""
    mesh = Mesh(Random(seed), suffix)
    for index, (tries, copied) in enumerate(calls):
        mesh.call(index * 200, tries=tries, copied=copied)

    found = judge(mesh.lines, terms(senders_logged=True, primary_logged=True))

    assert found.requests == found.requests_high == len(calls)
    assert found.counts.get(Verdict.MISSING, 0) == mesh.missing
    assert found.counts.get(Verdict.MATCHED, 0) == len(calls) - mesh.missing
    assert set(found.counts) <= {Verdict.MISSING, Verdict.MATCHED}
    assert found.control_lost == 0


@SETTINGS
@given(CALLS, st.booleans(), st.integers(0, 999))
def test_without_senders_logs_nothing_is_said_that_is_not_so(calls, suffix, seed) -> None:
    """The truth lies in the interval, and no copy that came is called missing or doubled."""
    mesh = Mesh(Random(seed), suffix)
    for index, (tries, copied) in enumerate(calls):
        mesh.call(index * 200, tries=tries, copied=copied)
    lines = [x for x in mesh.lines if x.pod != 1]

    found = judge(lines, terms())

    assert found.requests <= len(calls) <= found.requests_high
    assert found.counts.get(Verdict.MISSING, 0) <= mesh.missing
    assert found.counts.get(Verdict.DUPLICATE, 0) == 0
    assert found.counts.get(Verdict.LEAK, 0) == 0


@SETTINGS
@given(CALLS, st.integers(0, 999))
def test_senders_logs_alone_tell_the_same(calls, seed) -> None:
    """The seed's evidence: the front end's log and the mirror's, none of the primary."""
    mesh = Mesh(Random(seed), suffix=False)
    for index, (tries, copied) in enumerate(calls):
        mesh.call(index * 200, tries=tries, copied=copied)
    lines = [x for x in mesh.lines if x.pod != 2]

    found = judge(lines, terms(senders_logged=True))

    assert found.requests == len(calls)
    assert found.counts.get(Verdict.MISSING, 0) == mesh.missing


@SETTINGS
@given(st.integers(0, 3), st.integers(1, 3), st.booleans(), st.booleans(), st.integers(0, 999))
def test_leaks_are_counted_and_their_copies_are_legal(calls, leaks, suffix, senders, seed) -> None:
    """One leak each; no orphan, no duplicate, nothing missing."""
    mesh = Mesh(Random(seed), suffix)
    for index in range(calls):
        mesh.call(index * 200, tries=1, copied=True)
    for index in range(leaks):
        mesh.leak(index * 200 + 70)
    lines = [x for x in mesh.lines if senders or x.pod != 1]

    found = judge(lines, terms(senders_logged=senders))

    expected = {Verdict.LEAK: leaks} | ({Verdict.MATCHED: calls} if calls else {})
    assert found.counts == expected


@SETTINGS
@given(st.integers(0, 3), st.integers(1, 3), st.integers(0, 999))
def test_copies_of_requests_that_never_connected_are_matched(calls, failures, seed) -> None:
    """The primary is down for some requests of the page view; their copies came all the same."""
    mesh = Mesh(Random(seed), suffix=False)
    for index in range(calls):
        mesh.call(index * 200, tries=1, copied=True)
    for index in range(failures):
        mesh.call(index * 200 + 90, tries=1, copied=True, reached=False)

    found = judge(mesh.lines, terms(senders_logged=True))

    assert found.counts == {Verdict.MATCHED: calls + failures}


@SETTINGS
@given(st.integers(1, 5), st.integers(0, 999), st.sampled_from([10.0, 30.0, 50.0]))
def test_mirrors_of_one_draw_are_never_accused(calls, seed, smaller) -> None:
    """Two sampled mirrors of one route draw together: each outcome Envoy can give is legal."""
    random = Random(seed)
    lines: list[Line] = []
    sampled = 0
    for index in range(calls):
        lines.append(client(at=index * 50, lasts=9))
        draw = random.uniform(0, 100)
        sampled += draw < 50
        lines += [shadow(at=index * 50, mirror=0)] * (draw < 50)
        lines += [shadow(at=index * 50, mirror=1)] * (draw < smaller)

    found = judge(lines, terms(mirror(50), mirror(smaller)))

    assert found.counts.get(Verdict.MATCHED, 0) == sampled
    assert found.counts.get(Verdict.UNSAMPLED, 0) == calls - sampled
    assert not found.findings


@pytest.mark.parametrize("seed", range(5))
def test_a_retried_leak_is_one_leak(seed: int) -> None:
    """The mirror's pods log every try of the live request, the sender one line."""
    lines = [leaking(at=0, lasts=90, xff=0)]
    lines += [arrival(at=30 * n, lasts=5, xff=0, code=503 if n < 2 else 200) for n in range(3)]
    Random(seed).shuffle(lines)

    assert judge(lines, terms()).counts == {Verdict.LEAK: 1}
    assert judge([x for x in lines if x.pod != 1], terms()).counts == {Verdict.LEAK: 1}
