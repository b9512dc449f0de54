"""Percentages, the control group and divergence of one episode (DESIGN section 3)."""

from __future__ import annotations

import pytest

from tests.factories import (
    attempt,
    client,
    mirror,
    shadow,
    terms,
)
from tests.unit.pairing.verdicts import only, verdicts
from verifier.pairing.judge import judge
from verifier.pairing.lines import Line, Reason, Verdict


class TestPercentage:
    """Sampling below 100 %."""

    def test_a_request_without_copy_is_unsampled(self) -> None:
        """It was not drawn; only statistics can object."""
        lines = [client(), client(at=1), client(at=2), shadow()]

        assert verdicts(lines, terms(mirror(30))) == {"matched": 1, "unsampled": 2}

    def test_a_smaller_sample_is_inside_a_larger_one(self) -> None:
        """The 10 % copy without the 50 % one is missing."""
        asked = terms(mirror(50), mirror(10))

        finding = only([client(), shadow(mirror=1)], asked)

        assert (finding.verdict, finding.reason) == (Verdict.MISSING, Reason.BROKEN_NESTING)
        assert finding.mirror == 0
        assert verdicts([client(), shadow(mirror=0)], asked) == {"matched": 1}

    def test_equal_percentages_are_drawn_together(self) -> None:
        """One draw: both copies or none."""
        asked = terms(mirror(30), mirror(30))

        assert verdicts([client(), shadow(mirror=0)], asked) == {"missing": 1}
        assert verdicts([client(), shadow(mirror=1)], asked) == {"missing": 1}
        assert verdicts([client()], asked) == {"unsampled": 1}

    def test_two_mirrors_to_one_destination_share_the_draw(self) -> None:
        """50 % twice: one copy alone lacks the other; two copies are one request."""
        asked = terms(mirror(50, 50))
        calls = [client(), client(at=1), client(at=2)]

        assert verdicts([*calls, shadow()], asked) == {"missing": 1, "unsampled": 2}
        assert verdicts([*calls, shadow(), shadow()], asked) == {"matched": 1, "unsampled": 2}

    def test_two_copies_at_one_mirror_may_be_of_one_request(self) -> None:
        """50 % and 10 % to one destination: the mirror of 50 % elsewhere owes one copy, not two."""
        asked = terms(mirror(50, 10), mirror(50))
        lines = [client(), client(at=1), shadow(mirror=0), shadow(mirror=0), shadow(mirror=1)]

        assert verdicts(lines, asked) == {"matched": 1, "unsampled": 1}

    def test_a_full_mirror_beside_a_sampled_one_decides(self) -> None:
        """Nothing is unsampled when some mirror takes all."""
        asked = terms(mirror(), mirror(30))

        assert verdicts([client(), shadow(mirror=0)], asked) == {"matched": 1}
        assert verdicts([client(), shadow(mirror=1)], asked) == {"missing": 1}

    def test_an_abandoned_request_breaks_no_nesting(self) -> None:
        """Its copies may have been cut short."""
        lines = [client(code=0, flags="DC"), shadow(mirror=1)]

        assert "missing" not in verdicts(lines, terms(mirror(50), mirror(10)))

    def test_an_abandoned_request_with_its_full_copy_is_matched(self) -> None:
        """A sampled mirror that did not draw it changes nothing."""
        lines = [client(), client(code=0, flags="DC"), shadow(mirror=0), shadow(mirror=0)]

        assert verdicts(lines, terms(mirror(), mirror(30))) == {"matched": 2}


class TestControl:
    """Log loss: the control group."""

    def test_an_answered_request_without_a_line_of_the_primary_was_lost(self) -> None:
        """The sender says that the primary answered."""
        found = judge([client(), shadow()], terms(primary_logged=True))

        assert (found.control, found.control_lost) == (1, 1)

    def test_nothing_is_counted_where_the_primary_logs_nothing(self) -> None:
        """Else all would be lost."""
        found = judge([client(), shadow()], terms(primary_logged=False))

        assert (found.control, found.control_lost) == (0, 0)

    @pytest.mark.parametrize(("code", "flags"), [(503, "UF"), (0, "DC"), (404, "NR"), (101, "")])
    def test_requests_that_the_primary_need_not_have_seen_are_left_out(
        self, code: int, flags: str
    ) -> None:
        """They show nothing about shipping."""
        found = judge([client(code=code, flags=flags)], terms(primary_logged=True))

        assert (found.control, found.control_lost) == (0, 0)


class TestDivergence:
    """Status of matched pairs."""

    def test_a_pair_with_another_status_differs(self) -> None:
        """The client's answer against the copy's."""
        found = judge([client(code=200), shadow(code=503)], terms())

        assert (found.paired, found.status_differs) == (1, 1)

    def test_a_page_views_pairs_are_compared_as_a_whole(self) -> None:
        """Which copy belongs to which call cannot be told; the codes can be compared."""
        lines = [client(code=200), client(code=404), shadow(code=404), shadow(code=200)]

        found = judge(lines, terms())

        assert (found.paired, found.status_differs) == (2, 0)

    @pytest.mark.parametrize(
        "lines",
        [
            [client(code=504, flags="UT"), shadow(code=0, flags="DC")],
            [attempt(code=503), attempt(at=30), shadow(), shadow(code=500)],
            [client(), client(), shadow(code=500)],
        ],
        ids=["without a response", "interval pair", "one missing"],
    )
    def test_nothing_is_compared_where_pairs_are_not_sure(self, lines: list[Line]) -> None:
        """Code 0, interval pairs, episodes that lack a copy."""
        found = judge(lines, terms())

        assert (found.paired, found.status_differs) == (0, 0)
