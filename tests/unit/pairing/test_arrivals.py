"""Which arrivals are copies (DESIGN section 3, *marker*)."""

from __future__ import annotations

import pytest

from collector.traits import Trait
from tests.factories import arrival, attempt, client, shadow
from verifier.pairing.arrivals import sort_arrivals
from verifier.pairing.lines import Line


def sort(arrivals: list[Line], *references: Line) -> tuple[int, int, int]:
    """The numbers of copies, unmarked and live lines."""
    found = sort_arrivals(arrivals, list(references))
    return len(found.copies), len(found.unmarked), len(found.live)


def test_the_operators_marker_decides_before_all_else() -> None:
    """Whatever the addresses say."""
    marked = arrival(traits=Trait.MARKED, xff=0)

    assert sort([marked], attempt(xff=0)) == (1, 0, 0)


def test_the_shadow_suffix_decides_before_addresses() -> None:
    """Envoy's own mark."""
    assert sort([shadow(xff=0)], attempt(xff=0)) == (1, 0, 0)


def test_where_some_arrival_has_the_suffix_one_without_is_live() -> None:
    """Formats that do not log X-Forwarded-For, before Istio 1.28."""
    assert sort([shadow(), arrival()], attempt()) == (1, 0, 1)


def test_one_more_forwarded_address_marks_a_copy() -> None:
    """The sender appends its own address to the copy only."""
    assert sort([arrival(xff=1), arrival(xff=0)], attempt(xff=0)) == (1, 0, 1)


def test_behind_a_gateway_requests_carry_addresses_and_copies_one_more() -> None:
    """`203.0.113.5` at the primary, `203.0.113.5,10.0.0.7` at the mirror."""
    assert sort([arrival(xff=2), arrival(xff=1)], attempt(xff=1)) == (1, 0, 1)


def test_the_senders_line_tells_when_the_primary_has_none() -> None:
    """Its log shows the addresses as they were received."""
    assert sort([arrival(xff=2), arrival(xff=1)], client(xff=1)) == (1, 0, 1)


def test_of_senders_with_different_addresses_the_fewest_count() -> None:
    """No copy may be taken for live traffic."""
    arrivals = [arrival(xff=1), arrival(xff=2)]

    assert sort(arrivals, attempt(xff=1), attempt(xff=0)) == (2, 0, 0)


def test_without_requests_the_arrivals_tell_when_they_differ() -> None:
    """A leaked request and its copy."""
    assert sort([arrival(xff=1), arrival(xff=2)]) == (1, 0, 1)


def test_without_requests_an_arrival_without_any_address_is_live() -> None:
    """A copy has at least its sender's."""
    assert sort([arrival(xff=0)]) == (0, 0, 1)


def test_without_requests_equal_addresses_tell_nothing() -> None:
    """Two copies, or two live requests behind a gateway."""
    assert sort([arrival(xff=1), arrival(xff=1)]) == (0, 2, 0)


@pytest.mark.parametrize("reference", [attempt(), attempt(xff=0)])
def test_formats_without_addresses_leave_arrivals_unmarked(reference: Line) -> None:
    """Then the policy decides."""
    assert sort([arrival()], reference) == (0, 1, 0)


def test_a_client_that_sends_very_many_addresses_hides_the_mark_and_nothing_more() -> None:
    """Beyond the limit one more does not show: unmarked, not live."""
    assert sort([arrival(xff=60)], attempt(xff=59)) == (0, 1, 0)
    assert sort([arrival(xff=30)], attempt(xff=29)) == (0, 1, 0)
    assert sort([arrival(xff=29)], attempt(xff=28)) == (1, 0, 0)
