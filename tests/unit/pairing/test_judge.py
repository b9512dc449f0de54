"""Requests: matched, missing, unverifiable (DESIGN section 3)."""

from __future__ import annotations

import pytest

from collector.traits import Trait
from tests.factories import (
    arrival,
    attempt,
    client,
    foreign,
    mirror,
    shadow,
    stranger,
    terms,
)
from tests.unit.pairing.verdicts import only, verdicts
from verifier.pairing.judge import judge
from verifier.pairing.lines import Line, Reason, Side, Verdict


class TestMatched:
    """Every owed copy arrived."""

    def test_a_request_with_its_copy_is_matched(self) -> None:
        """The ordinary case, from the senders', the primary's and the mirror's lines."""
        assert verdicts([client(), attempt(), shadow()]) == {"matched": 1}

    @pytest.mark.parametrize("lines", [[client()], [attempt()]])
    def test_one_side_of_the_request_suffices(self, lines: list[Line]) -> None:
        """Only the senders' logs, or only the primary's."""
        assert verdicts([*lines, arrival()]) == {"matched": 1}

    @pytest.mark.parametrize(("code", "flags"), [(403, ""), (503, "UF"), (404, ""), (0, "DC")])
    def test_whatever_the_mirror_answered_the_copy_arrived(self, code: int, flags: str) -> None:
        """403 and 503 arrived too."""
        assert verdicts([attempt(), arrival(code=code, flags=flags)]) == {"matched": 1}

    def test_a_retried_request_owes_one_copy(self) -> None:
        """Retries are folded; the copy is made once."""
        attempts = [attempt(code=503), attempt(at=30, code=503), attempt(at=60)]

        assert verdicts([client(lasts=80), *attempts, shadow()]) == {"matched": 1}

    def test_all_arrivals_within_the_interval_are_matched(self) -> None:
        """A failure and another attempt are one request or two: one copy is right, and two are."""
        attempts = [attempt(code=503), attempt(at=30)]

        assert verdicts([*attempts, shadow()]) == {"matched": 1}
        assert verdicts([*attempts, shadow(), shadow()]) == {"matched": 2}

    def test_a_page_view_that_fans_out_owes_a_copy_of_each_call(self) -> None:
        """One id, one path, three calls."""
        lines = [maker(at=at) for maker in (client, attempt, shadow) for at in (0, 4, 90)]

        assert verdicts(lines) == {"matched": 3}

    def test_the_copy_may_start_before_the_request(self) -> None:
        """Clocks differ."""
        assert verdicts([attempt(at=100), arrival(at=0)]) == {"matched": 1}


class TestMissing:
    """An owed copy did not arrive."""

    def test_a_request_without_its_copy_is_missing(self) -> None:
        """The finding names the request first."""
        request = client()

        finding = only([attempt(), request])

        assert (finding.verdict, finding.reason) == (Verdict.MISSING, Reason.NO_COPY)
        assert finding.lines[0] is request

    def test_fewer_copies_than_requests_are_missing(self) -> None:
        """Below the interval something is missing, and the finding shows the copies there are."""
        copy = shadow()

        finding = only([client(), client(at=5), copy])

        assert (finding.verdict, finding.reason) == (Verdict.MISSING, Reason.TOO_FEW_COPIES)
        assert copy in finding.lines

    def test_every_missing_request_has_its_own_finding(self) -> None:
        """Each names another request."""
        found = judge([client(at=at) for at in range(4)], terms())

        assert len({finding.lines[0].line_id for finding in found.findings}) == 4

    def test_a_finding_stays_small_in_a_large_episode(self) -> None:
        """An attacker's constant id must not blow up memory."""
        lines = [client(at=n / 10) for n in range(400)] + [shadow() for _ in range(300)]

        found = judge(lines, terms())

        assert found.counts == {Verdict.MATCHED: 300, Verdict.MISSING: 100}
        assert max(len(finding.lines) for finding in found.findings) == 20

    def test_a_request_whose_retry_failed_to_connect_owes_its_copy(self) -> None:
        """The sender's line says UF, yet the primary logged the first try."""
        assert verdicts([client(code=503, flags="URX,UF"), attempt(code=503)]) == {"missing": 1}

    def test_two_mirrors_to_one_destination_owe_two_copies(self) -> None:
        """One copy is not enough, two are."""
        twice = terms(mirror(100, 100))

        assert verdicts([client(), shadow()], twice) == {"missing": 1}
        assert verdicts([client(), shadow(), shadow()], twice) == {"matched": 1}

    def test_every_mirror_of_a_route_owes_its_copy(self) -> None:
        """A request that lacks one copy of two is missing once, and the finding says where."""
        two = terms(mirror(name="v1"), mirror(name="v0"))

        finding = only([client(), shadow(mirror=0)], two)

        assert (finding.verdict, finding.mirror) == (Verdict.MISSING, 1)
        assert verdicts([client()], two) == {"missing": 1}
        assert verdicts([client(), shadow(mirror=0), shadow(mirror=1)], two) == {"matched": 1}


class TestUnverifiable:
    """The evidence cannot show it."""

    def test_a_pod_of_unknown_version_may_have_received_the_copy(self) -> None:
        """What lacks may be there."""
        finding = only([client(), stranger()])

        assert (finding.verdict, finding.reason) == (Verdict.UNVERIFIABLE, Reason.UNKNOWN_VERSION)

    def test_what_a_pod_of_unknown_version_received_is_unverifiable(self) -> None:
        """Beside a request with its copy, or alone: it is live traffic or a copy too many."""
        beside, alone = only([client(), attempt(), shadow(), stranger()]), only([stranger()])

        assert {beside.reason, alone.reason} == {Reason.UNKNOWN_RECEIVER}
        assert beside.lines[0].side == Side.SERVER_UNKNOWN
        assert verdicts([client(), shadow(), stranger()]) == {"matched": 1, "unverifiable": 1}

    def test_a_line_of_an_unknown_pod_is_told_once(self) -> None:
        """The line that may be the lacking copy is evidence of that finding, and no other."""
        finding = only([client(), attempt(), stranger()])

        assert [line.side for line in finding.lines][-1] == Side.SERVER_UNKNOWN
        assert verdicts([client(), stranger(), stranger()]) == {"unverifiable": 2}

    def test_what_a_pod_of_another_service_received_is_no_doubt(self) -> None:
        """A copy may lack there, yet where none does it says nothing."""
        assert verdicts([client(), shadow(), foreign()]) == {"matched": 1}
        assert verdicts([foreign()]) == {}
        assert verdicts([client(), foreign()]) == {"unverifiable": 1}

    def test_a_primary_of_unknown_version_is_no_lost_line(self) -> None:
        """Its line takes the place of the primary's in the control group."""
        found = judge([client(), shadow(), stranger()], terms(primary_logged=True))

        assert (found.control, found.control_lost) == (1, 0)

    def test_within_a_grace_an_unknown_pod_is_no_doubt(self) -> None:
        """Nothing is owed then."""
        assert verdicts([client(), stranger()], terms(exempt=Reason.POLICY_CHANGED)) == {
            "exempt": 1
        }

    def test_an_unreadable_line_of_the_mirror_may_be_the_copy(self) -> None:
        """The line itself is ambiguous, the request unverifiable, never missing."""
        lines = [client(), arrival(traits=Trait.AMBIGUOUS)]

        assert verdicts(lines) == {"unverifiable": 1, "ambiguous": 1}

    def test_an_unreadable_line_of_another_mirror_is_not_the_copy(self) -> None:
        """It arrived elsewhere."""
        two = terms(mirror(), mirror())
        lines = [client(), shadow(mirror=0), arrival(mirror=0, traits=Trait.AMBIGUOUS)]

        assert verdicts(lines, two) == {"missing": 1, "ambiguous": 1}

    def test_each_doubtful_line_excuses_one_request(self) -> None:
        """One line of an unknown pod and one unreadable: two of three are unverifiable."""
        lines = [client(at=at) for at in range(3)]
        lines += [stranger(), arrival(traits=Trait.AMBIGUOUS)]

        assert verdicts(lines) == {"missing": 1, "unverifiable": 2, "ambiguous": 1}

    def test_a_sampled_copy_may_be_among_unreadable_lines(self) -> None:
        """Below 100 % such a request is not called unsampled."""
        lines = [client(), client(at=2), arrival(traits=Trait.AMBIGUOUS)]

        counts = verdicts(lines, terms(mirror(30)))

        assert counts == {"unverifiable": 1, "unsampled": 1, "ambiguous": 1}

    def test_a_copy_without_request_and_without_senders_logs_is_unverifiable(self) -> None:
        """The primary may have been down."""
        finding = only([arrival()])

        assert (finding.verdict, finding.reason) == (Verdict.UNVERIFIABLE, Reason.NO_SENDER_LOG)


class TestAmbiguous:
    """Lines that are no evidence."""

    def test_unreadable_lines_of_one_request_count_once(self) -> None:
        """Each side logs a request about once."""
        mark = {"traits": Trait.AMBIGUOUS}
        lines = [client(**mark), attempt(**mark), arrival(**mark)]

        finding = only(lines)

        assert (finding.reason, finding.count) == (Reason.EXTRA_QUOTES, 1)
        assert verdicts(lines) == {"ambiguous": 1}

    def test_lines_without_an_id_are_ambiguous(self) -> None:
        """They cannot be paired; doctor says how to log the id."""
        finding = only([client(traits=Trait.NO_ID), arrival(traits=Trait.NO_ID)])

        assert (finding.verdict, finding.reason) == (Verdict.AMBIGUOUS, Reason.NO_REQUEST_ID)

    def test_unreadable_lines_beside_readable_ones_change_no_verdict(self) -> None:
        """An attacker who knows an id cannot spoil its verdict."""
        forged = [client(traits=Trait.AMBIGUOUS), attempt(traits=Trait.AMBIGUOUS)]

        assert verdicts([client(), shadow(), *forged]) == {"matched": 1, "ambiguous": 1}

    def test_the_copy_of_an_unreadable_request_is_no_orphan(self) -> None:
        """The primary logs text, the mirror JSON, and the user agent has quotes."""
        senders = terms(senders_logged=True)
        lines = [attempt(traits=Trait.AMBIGUOUS), shadow()]

        assert verdicts(lines, senders) == {"ambiguous": 1}

    def test_an_episode_over_the_cap_is_one_ambiguous_finding(self) -> None:
        """It counts as many requests as one side logged."""
        lines = [client(at=n) for n in range(8)] + [shadow(at=n) for n in range(8)]

        finding = only(lines, terms(cap=15))

        assert (finding.reason, finding.count) == (Reason.TOO_MANY_LINES, 8)
        assert verdicts(lines, terms(cap=15)) == {"ambiguous": 8}
        assert verdicts(lines, terms(cap=16)) == {"matched": 8}

    def test_repeated_lines_do_not_count_towards_the_cap(self) -> None:
        """A re-read file must not make an episode ambiguous."""
        lines = [client(), shadow()] * 10

        assert verdicts(lines, terms(cap=2)) == {"matched": 1}
