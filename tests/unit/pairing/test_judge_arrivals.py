"""Arrivals: duplicates, leaks, orphans, mirrors with live weight (DESIGN section 3)."""

from __future__ import annotations

import pytest

from tests.factories import (
    arrival,
    attempt,
    client,
    leaking,
    mirror,
    shadow,
    terms,
)
from tests.unit.pairing.verdicts import only, verdicts
from verifier.pairing.judge import judge
from verifier.pairing.lines import Reason, Verdict


class TestArrivals:
    """Copies and live requests at the mirror that no request accounts for."""

    def test_more_copies_than_requests_are_duplicates(self) -> None:
        """Two mirror policies where one is meant."""
        finding = only([client(), shadow(at=1), shadow(at=3)])

        assert (finding.verdict, finding.reason) == (Verdict.DUPLICATE, Reason.SURPLUS)
        assert finding.start_us == 3_000

    def test_without_senders_logs_a_surplus_is_in_doubt(self) -> None:
        """A second request may never have reached the primary; the surroundings decide."""
        assert only([attempt(), shadow(), shadow()]).reason is Reason.SURPLUS_IN_DOUBT

    def test_a_copy_whose_request_is_nowhere_is_an_orphan(self) -> None:
        """The senders' logs are complete, and do not have it."""
        finding = only([arrival()], terms(senders_logged=True))

        assert (finding.verdict, finding.reason) == (Verdict.ORPHAN, Reason.NO_REQUEST)

    def test_live_traffic_that_a_sender_routed_to_the_mirror_leaks(self) -> None:
        """The sender's line says so, even when the mirror's line is lost."""
        finding = only([leaking()])

        assert (finding.verdict, finding.reason) == (Verdict.LEAK, Reason.SENT_TO_MIRROR)

    def test_live_traffic_at_the_mirror_leaks(self) -> None:
        """Its line lacks the mark that copies have."""
        finding = only([arrival(xff=0), arrival(xff=1)])

        assert (finding.verdict, finding.reason) == (Verdict.LEAK, Reason.LIVE_AT_MIRROR)

    @pytest.mark.parametrize("suffix", [True, False])
    def test_the_copy_of_a_leak_is_legal(self, suffix: bool) -> None:
        """One leak, no orphan, no duplicate."""
        copy = shadow(xff=1) if suffix else arrival(xff=1)

        assert verdicts([leaking(xff=0), arrival(xff=0), copy]) == {"leak": 1}

    def test_the_copy_of_a_leak_is_legal_at_every_mirror(self) -> None:
        """The leaked request takes the whole route."""
        two = terms(mirror(), mirror())
        lines = [leaking(mirror=0), shadow(mirror=0), shadow(mirror=1)]

        assert verdicts(lines, two) == {"leak": 1}

    def test_surplus_is_told_for_every_mirror(self) -> None:
        """Two copies too many at one, one at the other."""
        two = terms(mirror(), mirror())
        lines = [
            client(),
            *(shadow(mirror=0) for _ in range(3)),
            *[shadow(mirror=1), shadow(mirror=1)],
        ]

        found = judge(lines, two)

        assert found.counts == {Verdict.MATCHED: 1, Verdict.DUPLICATE: 3}
        assert sorted(finding.mirror for finding in found.findings) == [0, 0, 1]

    def test_without_any_mark_no_leak_is_claimed_without_second_evidence(self) -> None:
        """Formats without X-Forwarded-For, no suffix: the policy sends only copies there."""
        assert verdicts([attempt(), arrival()]) == {"matched": 1}

    def test_an_owed_copy_that_looks_live_is_trusted_to_be_the_copy(self) -> None:
        """No sender sent live traffic there, and the request owes a copy."""
        assert verdicts([client(xff=0), arrival(xff=0)]) == {"matched": 1}

    def test_a_leak_that_never_connected_brings_no_arrival(self) -> None:
        """The unmarked arrival beside it is the copy of the other request."""
        lines = [client(), leaking(code=503, flags="UF"), arrival()]

        assert verdicts(lines) == {"matched": 1, "leak": 1}


class TestDeclaredLive:
    """The policy itself sends live traffic to a mirror."""

    def test_live_requests_there_are_requests(self) -> None:
        """They owe their copy like any other."""
        asked = terms(mirror(live=True))

        assert verdicts([arrival(xff=0), arrival(xff=1)], asked) == {"matched": 1}
        assert verdicts([arrival(xff=0)], asked) == {"missing": 1}

    def test_nothing_leaks(self) -> None:
        """One request each way, both copied, and two senders' lines."""
        lines = [client(xff=0), client(at=1, xff=0), attempt(xff=0), arrival(xff=0)]
        lines += [arrival(xff=1), arrival(xff=1)]

        assert verdicts(lines, terms(mirror(live=True))) == {"matched": 2}

    def test_without_any_mark_nothing_can_be_told(self) -> None:
        """The arrival may be the live request itself: never a pass, never a violation."""
        asked = terms(mirror(live=True))

        finding = only([client(), arrival()], asked)

        assert (finding.verdict, finding.reason) == (
            Verdict.UNVERIFIABLE,
            Reason.MIRROR_TAKES_LIVE,
        )
        assert verdicts([arrival()], asked) == {"unverifiable": 1}

    def test_where_nothing_arrived_the_copy_is_missing(self) -> None:
        """A mark is not needed to see that nothing is there."""
        assert verdicts([client(), attempt()], terms(mirror(live=True))) == {"missing": 1}
