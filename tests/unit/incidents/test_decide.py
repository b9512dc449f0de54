"""What is told of shares: a function of what is remembered, counts and time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.incident_month.__main__ import DRIFTS
from tests.incident_month.model import Traffic
from tests.incident_month.run import detection_s, months, simulate
from verifier.incidents.decide import Corrected, decide
from verifier.incidents.drift import Drift, Ended, Now, Open
from verifier.incidents.event import Kind, NotifyReason, Severity
from verifier.incidents.kinds import POLICY_KINDS
from verifier.incidents.rules import TellRules, policy_rules
from verifier.incidents.scores import Sample
from verifier.policies.model import IncidentRule, Policy, Rules

SECOND = 1_000_000
WINDOW = 10 * SECOND


def rule(kind: Kind = Kind.MISSING, **changes: Any) -> Any:
    """The rule of a kind, with changes of the user."""
    own = (IncidentRule(kind.value, **changes),) if changes else ()
    policy = Policy(name="a/b", hosts=(), live=(), rules=Rules(incidents=own))
    return policy_rules(TellRules(), policy)[kind]


def sample(number: int, bad: int, total: int = 1000, **more: Any) -> Sample:
    """The window of a number."""
    share = more.pop("share", 0.0002)
    start = number * WINDOW
    return Sample(start_us=start, end_us=start + WINDOW, bad=bad, total=total, share=share, **more)


class Story:
    """Windows one after another, and what was told."""

    def __init__(self, **changes: Any) -> None:
        self.rule = rule(**changes)
        self.state = Drift()
        self.number = 0
        self.silenced = False
        self.ended: Open | None = None

    def then(self, bad: int, total: int = 1000, *corrections: Corrected) -> NotifyReason | None:
        """One more window."""
        self.number += 1
        now = Now(self.number * WINDOW + WINDOW, self.number * WINDOW + 10 * WINDOW)
        self.state, reason = decide(
            self.state,
            [sample(self.number, bad, total)],
            corrections,
            now,
            self.rule,
            silenced=self.silenced,
        )
        known = self.state.open
        if known is not None and known.resolved_us is not None:
            self.ended, self.state = known, Drift()  # as it is stored
        return reason

    def many(self, count: int, bad: int, total: int = 1000) -> list[NotifyReason]:
        """What is told of windows that are all alike."""
        told = [self.then(bad, total) for _ in range(count)]
        return [one for one in told if one is not None]


def test_one_missing_copy_is_nothing_and_a_window_of_them_is_an_incident() -> None:
    """It opens with the counts of the window, critical as more than a hundredth is missing."""
    story = Story()
    assert story.then(1) is None
    assert story.many(100, 0) == []
    assert story.state.is_empty

    assert story.then(1000) is NotifyReason.FIRST

    known = story.state.open
    assert known is not None
    assert (known.bad, known.total, known.severity) == (1000, 1000, Severity.CRITICAL)
    assert known.first_us == story.number * WINDOW


def test_what_the_control_group_loses_as_well_is_no_drift() -> None:
    """Shippers that lose one line of a hundred, everywhere alike, lose copies and requests."""
    state, own = Drift(), rule()
    for number in range(2000):
        lost = sample(number, 10 + number % 3, lost=10 + (number + 1) % 3, control=1000)
        now = Now(number * WINDOW, number * WINDOW)
        state, reason = decide(state, [lost], [], now, own)
        assert reason is None


def test_a_small_loss_is_a_warning_and_becomes_critical_when_it_grows() -> None:
    """The rise to critical is told at once, and once."""
    story = Story()
    assert story.many(60, 2) == [NotifyReason.FIRST]
    assert story.state.open is not None
    assert story.state.open.severity is Severity.WARNING

    assert story.many(100, 900) == [NotifyReason.GREW]
    assert story.state.open.severity is Severity.CRITICAL


def test_it_repeats_every_four_hours_and_not_in_between() -> None:
    """Somebody who forgot it hears of it again."""
    story = Story()
    story.then(1000)

    assert story.many(3 * 1440, 1000) == [NotifyReason.STILL_THERE] * 3


def test_it_resolves_when_traffic_is_well_and_opens_anew_when_it_is_not() -> None:
    """Two minutes of copies are enough where all lacked before."""
    story = Story()
    story.then(1000)
    assert story.many(11, 0) == []

    assert story.many(3, 0) == [NotifyReason.RESOLVED]
    assert story.ended is not None
    assert story.ended.ended is Ended.OVER

    assert story.then(1000) is NotifyReason.FIRST


def test_a_slow_leak_does_not_flap() -> None:
    """Where one of a thousand is missing, minutes without a missing one say nothing."""
    story = Story()
    told = [one for number in range(20_000) if (one := story.then(number % 100 == 0, 10))]

    assert told[0] is NotifyReason.FIRST
    assert NotifyReason.RESOLVED not in told


def test_a_correction_that_leaves_nothing_takes_it_back() -> None:
    """And one that leaves enough does not."""
    story = Story()
    story.then(1000)
    story.then(1000)
    first, second = sample(1, 1000), sample(2, 1000)
    assert story.then(0, 1000, Corrected(first, sample(1, 0))) is None

    reason = story.then(0, 1000, Corrected(second, sample(2, 0)))

    assert reason is NotifyReason.RESOLVED
    assert story.ended is not None
    assert (story.ended.ended, story.ended.bad) == (Ended.REFUTED, 0)


def test_what_a_correction_takes_back_before_it_lasted_is_never_told() -> None:
    """Pods whose labels come late are no incident; what is left of it opens with its own counts."""
    refuted, rest = Story(for_us=60 * SECOND), Story(for_us=60 * SECOND)
    for story in (refuted, rest):
        story.then(1000)
        story.then(1000)

    refuted.then(0, 1000, Corrected(sample(1, 1000), sample(1, 0)))
    refuted.then(0, 1000, Corrected(sample(2, 1000), sample(2, 0)))
    rest.then(1000, 1000, Corrected(sample(1, 1000), sample(1, 400)))

    assert refuted.many(60, 0) == []
    assert rest.many(6, 1000) == [NotifyReason.FIRST]
    assert rest.state.open is not None
    assert rest.state.open.bad == 9_000 - 600


def test_what_is_silenced_is_followed_and_told_when_the_silence_ends() -> None:
    """If it is over by then, nobody hears of it."""
    story = Story()
    story.silenced = True
    assert story.many(30, 1000) == []
    story.silenced = False
    assert story.then(1000) is NotifyReason.FIRST

    story.silenced = True

    assert story.many(20, 0) == [NotifyReason.RESOLVED]  # what was told is taken back

    other = Story()
    other.silenced = True
    other.many(5, 1000)
    assert other.many(14, 0) == []
    assert other.ended is not None


def test_what_must_last_is_told_when_it_lasted() -> None:
    """`for: 5m` waits for half an hour of windows of ten seconds."""
    story = Story(for_us=300 * SECOND)

    told = [story.then(1000) for _ in range(40)]

    assert told.index(NotifyReason.FIRST) == 30


def test_a_kind_that_is_switched_off_ends_what_it_told() -> None:
    """Rules that change while an incident is open close it."""
    story = Story()
    story.then(1000)
    story.rule = rule(enabled=False)

    assert story.then(1000) is NotifyReason.RESOLVED
    assert story.ended is not None
    assert story.ended.ended is Ended.DISABLED


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), max_size=60))
def test_notifications_come_in_order_whatever_happens(steps: list[tuple[int, int]]) -> None:
    """First, then grew or still there, then resolved; and the state survives being stored."""
    story, known = Story(), False
    for bad, silent in steps:
        story.silenced = silent == 2
        for _ in range(5):
            reason = story.then(bad, 30)
            text = msgspec.json.encode(story.state)
            assert msgspec.json.decode(text, type=Drift) == story.state
            if reason is None:
                continue
            assert (reason is not NotifyReason.FIRST) == known
            known = reason is not NotifyReason.RESOLVED
            found = story.state.open or story.ended
            assert found is not None
            assert 0 <= found.bad <= found.total


def test_healthy_days_open_nothing_and_each_drift_is_found() -> None:
    """The simulation that the README quotes, in small."""
    traffic = Traffic(a_second=20)

    assert months(range(1), traffic, days=1) == (0, 0)
    for kind in (Kind.MISSING, Kind.LEAK, Kind.DUPLICATES, Kind.UNKNOWN_VERSION):
        (found,) = detection_s(range(1), traffic, kind, 0.01, days=1)
        assert found < 3600


def test_a_new_pod_is_told_only_while_its_labels_do_not_come() -> None:
    """Late labels settle windows anew that lacked them; a pod that stays unknown is an incident."""
    usual, slow = Traffic(a_second=20), Traffic(a_second=20, labels_s=900)

    assert simulate(1, usual, 6 * 3600) == []
    told = simulate(1, slow, 6 * 3600)
    assert {one.kind for one in told} == {Kind.UNKNOWN_VERSION}
    assert {one.reason for one in told} >= {NotifyReason.FIRST, NotifyReason.RESOLVED}


def test_the_simulation_knows_each_kind_of_drift() -> None:
    """And the tables of MEASURED.md have each of them."""
    kinds = [kind for kind in POLICY_KINDS if kind not in (Kind.LINT, Kind.MARKER)]
    measured = (Path(__file__).parents[2] / "MEASURED.md").read_text()
    _, *tables = measured.partition("## How soon an incident is told")[2].split("| drift, at ")

    assert sorted(kind for kind, _ in DRIFTS) == sorted(kinds)
    for table in tables[:2]:
        rows = [line.split("|")[1] for line in table.partition("\n\n")[0].splitlines()[2:]]
        assert sorted(re.findall("`([a-z_]+)`", "".join(rows))) == sorted(kinds)
