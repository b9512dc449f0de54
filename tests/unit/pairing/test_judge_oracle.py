"""The verdicts against a second opinion, and what must change nothing."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from collector.traits import Trait
from tests.examples import MANY
from tests.factories import (
    MIRROR_POD,
    arrival,
    attempt,
    bypassing,
    client,
    foreign,
    leaking,
    mirror,
    shadow,
    stranger,
    terms,
)
from tests.unit.pairing.oracle import oracle
from verifier.pairing.episodes import episodes, first_request_us
from verifier.pairing.judge import judge
from verifier.pairing.lines import Judgement, Line, Reason, Terms, Verdict

SETTINGS = settings(max_examples=150 * MANY)
OUTCOMES = st.sampled_from(
    [(200, ""), (200, ""), (503, ""), (503, "URX"), (503, "UF"), (0, "DC"), (404, ""), (101, "")]
)
SENDER_OUTCOMES = st.sampled_from(
    [(200, ""), (200, ""), (503, "URX,UF"), (0, "DC"), (504, "UT"), (404, "NR"), (101, "")]
)
TIMES = st.sampled_from([0, 1, 3, 30, 70, 130, 900])
SPANS = st.sampled_from([0, 5, 20, 90, 200])
ASKED = st.sampled_from(
    [
        (mirror(),),
        (mirror(),),
        (mirror(30),),
        (mirror(100, 100),),
        (mirror(50, 50),),
        (mirror(50, 10),),
        (mirror(100, 30),),
        (mirror(50), mirror(10)),
        (mirror(30), mirror(30)),
        (mirror(), mirror(30)),
        (mirror(), mirror()),
        (mirror(50, 10), mirror(10)),
        (mirror(100, 30), mirror(30), mirror(100)),
    ]
)


@st.composite
def asks(draw: st.DrawFn) -> Terms:
    """Terms of one to three mirror groups."""
    exempt = draw(st.sampled_from([None] * 9 + [Reason.POLICY_CHANGED]))
    return terms(*draw(ASKED), exempt=exempt, senders_logged=draw(st.booleans()))


@st.composite
def marked_episodes(draw: st.DrawFn) -> tuple[list[Line], Terms]:
    """Up to eight lines of one key, whose arrivals show what they are."""
    asked = draw(asks())
    lines: list[Line] = []
    makers = [client, attempt, attempt, shadow, shadow, shadow, bypassing, leaking, arrival]
    makers += [stranger, foreign]
    groups = range(len(asked.mirrors))
    for maker in draw(st.lists(st.sampled_from(makers), min_size=1, max_size=7)):
        code, flags = draw(SENDER_OUTCOMES if maker is client else OUTCOMES)
        fields = {"at": draw(TIMES), "lasts": draw(SPANS), "code": code, "flags": flags}
        if maker in (shadow, leaking, arrival):
            fields["mirror"] = draw(st.sampled_from(groups))
        if maker is arrival:
            # Surely live: as many addresses as the primary's lines have.
            fields |= {"xff": 0, "lasts": 5, "code": 200, "flags": ""}
        if maker in (client, attempt):
            fields["xff"] = 0
        lines.append(maker(**fields))
    return lines, asked


def flat(judged: Judgement) -> tuple[object, ...]:
    """What a judgement amounts to."""
    findings = Counter(
        (f.verdict, f.reason, f.start_us, f.count, f.lines[0].line_id) for f in judged.findings
    )
    counts = {verdict: count for verdict, count in judged.counts.items() if count}
    sums = (judged.requests, judged.requests_high, judged.paired, judged.status_differs)
    return counts, findings, sums, judged.exempt


@SETTINGS
@given(marked_episodes())
def test_the_verdicts_are_those_of_the_oracle(case: tuple[list[Line], Terms]) -> None:
    """Brute force over all ways to explain the lines comes to the same counts."""
    lines, asked = case
    # Where a copy is owed, the policy is trusted more than an address: tested in test_judge.
    lines = [x for x in lines if x.pod != MIRROR_POD or x.traits & Trait.SHADOW_HOST]
    expected = oracle(lines, asked)
    assume(not expected.unclear)

    found = judge(lines, asked)

    assert {str(k): v for k, v in found.counts.items() if v} == expected.verdicts
    assert (found.requests, found.requests_high) == (expected.requests, expected.requests_high)


@st.composite
def any_lines(draw: st.DrawFn) -> list[Line]:
    """Up to ten lines of every kind, also unreadable ones and such without a mark."""
    makers = [client, attempt, arrival, shadow, leaking, bypassing, stranger, foreign]
    doubts = st.sampled_from([0, 0, 0, 0, Trait.AMBIGUOUS, Trait.NO_ID])
    lines = []
    for maker in draw(st.lists(st.sampled_from(makers), max_size=10)):
        code, flags = draw(OUTCOMES)
        marks = draw(doubts) | (Trait.SHADOW_HOST if maker is shadow else 0)
        at, lasts = draw(st.sampled_from([0, 1, 3, 70, 900, 5_600, 11_000])), draw(SPANS)
        hops = draw(st.sampled_from([None, 0, 0, 1, 2]))
        fields = {"at": at, "lasts": lasts, "code": code, "flags": flags, "xff": hops}
        lines.append(maker(traits=marks, **fields))
    return lines


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    """Terms whose first mirror may take live traffic as well."""
    first, *rest = draw(ASKED)
    live = draw(st.sampled_from([False, False, True]))
    group = mirror(*first.percents, live=live)
    return terms(group, *rest, senders_logged=draw(st.booleans()), primary_logged=True)


@SETTINGS
@given(any_lines(), any_terms())
def test_every_request_has_exactly_one_verdict(lines: list[Line], asked: Terms) -> None:
    """The verdicts of requests add up to their number, and no count is negative."""
    found = judge(lines, asked)

    of_requests = (Verdict.MATCHED, Verdict.MISSING, Verdict.UNSAMPLED, Verdict.EXEMPT)
    arrivals = (Reason.NO_SENDER_LOG, Reason.MIRROR_TAKES_LIVE)
    unverifiable = [
        f
        for f in found.findings
        if f.verdict is Verdict.UNVERIFIABLE and f.reason is not Reason.UNKNOWN_RECEIVER
    ]
    known = found.counts.get(Verdict.MATCHED, 0) + found.counts.get(Verdict.MISSING, 0)
    total = sum(found.counts.get(verdict, 0) for verdict in of_requests)
    if known or found.requests:
        unverifiable = [f for f in unverifiable if f.reason is not Reason.NO_SENDER_LOG]
        total += len(unverifiable)
    else:
        assert all(f.reason in arrivals for f in unverifiable)
    assert total == found.requests
    assert min(found.counts.values(), default=0) >= 0
    assert sum(found.exempt.values()) == found.counts.get(Verdict.EXEMPT, 0)


@SETTINGS
@given(any_lines(), any_terms())
def test_bounds_hold(lines: list[Line], asked: Terms) -> None:
    """High is not below low, pairs and losses stay within their totals, findings stay small."""
    found = judge(lines, asked)

    assert found.requests_high >= found.requests >= 0
    assert 0 <= found.status_differs <= found.paired
    assert 0 <= found.control_lost <= found.control
    assert all(f.lines and len(f.lines) <= 20 for f in found.findings)
    told = Counter(f.verdict for f in found.findings for _ in range(f.count))
    quiet = (Verdict.MATCHED, Verdict.EXEMPT, Verdict.UNSAMPLED)
    assert told == {v: n for v, n in found.counts.items() if v not in quiet and n}


@SETTINGS
@given(any_lines(), any_terms(), st.integers(0, 2**32))
def test_order_and_repetition_change_nothing(lines: list[Line], asked: Terms, seed: int) -> None:
    """Kafka delivers again and in any order; shippers re-read files."""
    random = Random(seed)
    again = lines + random.choices(lines, k=len(lines)) if lines else []
    random.shuffle(again)

    assert flat(judge(again, asked)) == flat(judge(lines, asked))


@SETTINGS
@given(any_lines(), st.integers(0, 2**32))
def test_episodes_do_not_depend_on_order_and_lose_no_line(lines: list[Line], seed: int) -> None:
    """Every line is judged exactly once, whatever the order of arrival."""
    shuffled = lines + lines[:3]
    Random(seed).shuffle(shuffled)

    found = [[x.line_id for x in episode] for episode in episodes(shuffled, 5_000_000)]

    assert found == [[x.line_id for x in episode] for episode in episodes(lines, 5_000_000)]
    assert sorted(x for episode in found for x in episode) == sorted(x.line_id for x in lines)


@SETTINGS
@given(any_lines(), any_terms(), st.integers(1, 20_000_000), st.integers(0, 20_000_000))
def test_the_window_size_changes_no_verdict(
    lines: list[Line], asked: Terms, size_us: int, offset_us: int
) -> None:
    """Each episode belongs whole to the window of its first request: the sums stay the same."""
    windows: dict[int, Judgement] = {}
    whole = Judgement()
    for episode in episodes(lines, asked.horizon_us):
        window = (first_request_us(episode) + offset_us) // size_us
        for total in (whole, windows.setdefault(window, Judgement())):
            judged = judge(episode, asked)
            total.requests += judged.requests
            for verdict, count in judged.counts.items():
                total.add(verdict, count)

    summed = Counter[Verdict]()
    for total in windows.values():
        summed.update(total.counts)
    assert summed == whole.counts
    assert sum(total.requests for total in windows.values()) == whole.requests


@SETTINGS
@given(any_lines(), any_terms())
def test_lines_far_apart_are_judged_apart(lines: list[Line], asked: Terms) -> None:
    """The same lines an hour later, under the same key, are another episode with equal verdicts."""
    hour = 3_600_000_000
    later = [
        Line(x.side, x.mirror, x.start_us + hour, x.end_us + hour, x.code, x.traits, x.attempt,
             x.pod, -x.line_id)
        for x in lines
    ]  # fmt: skip
    once, twice = Counter[Verdict](), Counter[Verdict]()

    for total, key in ((once, lines), (twice, lines + later)):
        for episode in episodes(key, asked.horizon_us):
            total.update(judge(episode, asked).counts)

    assert {v: 2 * n for v, n in once.items() if n} == {v: n for v, n in twice.items() if n}
