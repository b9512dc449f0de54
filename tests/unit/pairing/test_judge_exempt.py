"""Requests that owe nothing, and why (DESIGN section 3)."""

from __future__ import annotations

import pytest

from tests.factories import (
    arrival,
    attempt,
    bypassing,
    client,
    leaking,
    shadow,
    terms,
    without_mirror,
)
from tests.unit.pairing.verdicts import verdicts
from verifier.pairing.judge import judge
from verifier.pairing.lines import Judgement, Line, Reason, Terms, Verdict


class TestExempt:
    """Nothing is owed, and the reason is told."""

    def reasons(self, lines: list[Line], asked: Terms | None = None) -> dict[Reason, int]:
        """Why requests are exempt."""
        found: Judgement = judge(lines, asked or terms())
        assert found.counts.get(Verdict.MISSING, 0) == 0
        return found.exempt

    @pytest.mark.parametrize("code", [101])
    def test_upgrades_are_never_mirrored(self, code: int) -> None:
        """Nor is CONNECT, which has the same trait."""
        lines = [client(code=code), attempt(code=code)]

        assert self.reasons(lines) == {Reason.NEVER_MIRRORED: 1}

    def test_an_upgrade_that_reached_the_mirror_all_the_same_is_no_duplicate(self) -> None:
        """It may arrive as an odd request."""
        assert verdicts([client(code=101), shadow(code=400)]) == {"exempt": 1}

    @pytest.mark.parametrize("flags", ["NR", "UH", "FI", "RL", "UAEX"])
    def test_what_is_answered_before_routing_is_exempt(self, flags: str) -> None:
        """The router returns before it copies."""
        assert self.reasons([client(code=503, flags=flags)]) == {Reason.NOT_ROUTED: 1}

    def test_never_connected_and_not_copied_is_exempt(self) -> None:
        """UF, UO: legal without a copy."""
        lines = [client(code=503, flags="UF"), client(code=503, flags="UO")]

        assert self.reasons(lines) == {Reason.NOT_CONNECTED: 2}

    def test_never_connected_and_copied_is_matched(self) -> None:
        """The copy of a request whose primary never connected is legal."""
        assert verdicts([client(code=503, flags="URX,UF"), arrival()]) == {"matched": 1}

    def test_abandoned_is_legal_with_and_without_a_copy(self) -> None:
        """DC, code 0."""
        left = [client(code=0, flags="DC"), attempt(code=0, flags="DC")]

        assert self.reasons(left) == {Reason.ABANDONED: 1}
        assert verdicts([*left, arrival(code=0, flags="DC")]) == {"matched": 1}

    def test_abandoned_while_the_primary_answered_is_still_legal(self) -> None:
        """The client left between the answer and its delivery."""
        assert self.reasons([client(code=0, flags="DC"), attempt()]) == {Reason.ABANDONED: 1}

    def test_a_request_on_another_route_bypassed_the_mirror(self) -> None:
        """Its sender's line has another destination of the host."""
        assert self.reasons([bypassing(), attempt()]) == {Reason.BYPASSED: 1}

    def test_requests_before_the_mirror_are_exempt(self) -> None:
        """No mirror in force."""
        assert self.reasons([client()], without_mirror()) == {Reason.NO_MIRROR_IN_FORCE: 1}

    def test_requests_just_after_a_change_are_exempt_copied_or_not(self) -> None:
        """Proxies learn of a policy at different times."""
        grace = terms(exempt=Reason.POLICY_CHANGED)

        assert verdicts([client()], grace) == {"exempt": 1}
        assert verdicts([client(), shadow(), shadow()], grace) == {"exempt": 1}
        assert self.reasons([client()], grace) == {Reason.POLICY_CHANGED: 1}

    def test_live_traffic_at_the_mirror_is_no_leak_while_nothing_is_in_force(self) -> None:
        """Before the policy, and just after it, some proxies rightly send it there."""
        lines = [leaking(), arrival(xff=0)]

        assert verdicts(lines, terms(exempt=Reason.NO_MIRROR_IN_FORCE)) == {}
        assert verdicts(lines, terms(exempt=Reason.POLICY_CHANGED)) == {}

    def test_doubtful_requests_do_not_upset_the_sum_of_exempt_ones(self) -> None:
        """An interval pair with two copies, within a grace."""
        found = judge(
            [attempt(code=503), attempt(at=30), shadow(), shadow()],
            terms(exempt=Reason.POLICY_CHANGED),
        )

        assert found.counts == {Verdict.EXEMPT: found.requests}
