"""From lines to episodes (DESIGN section 3, *line identity* and *episode*)."""

from __future__ import annotations

from tests.factories import arrival, attempt, bypassing, client, leaking, shadow
from verifier.pairing.episodes import distinct, episodes, first_request_us

HORIZON_US = 5_000_000


def sizes(*lines: object) -> list[int]:
    """How many lines each episode has."""
    return [len(episode) for episode in episodes(lines, HORIZON_US)]  # type: ignore[arg-type]


def test_a_gap_of_the_horizon_still_chains_and_a_longer_one_cuts() -> None:
    """The gap is from the latest end to the next start."""
    assert sizes(client(at=0, lasts=10), client(at=5_010)) == [2]
    assert sizes(client(at=0, lasts=10), client(at=5_010.001)) == [1, 1]


def test_a_long_request_keeps_the_lines_that_follow_its_end() -> None:
    """A stream of a minute, a short line in its midst, and a retry after its end."""
    stream = client(at=0, lasts=60_000)

    assert sizes(stream, attempt(at=10), attempt(at=64_000)) == [3]


def test_lines_of_any_side_chain() -> None:
    """An episode is not about sides."""
    assert sizes(client(at=0), shadow(at=4_900), attempt(at=9_800)) == [3]


def test_a_line_of_the_same_pod_and_identity_counts_once() -> None:
    """Shippers re-read files."""
    first, again = client(line_id=7), client(line_id=7)

    assert distinct([first, again]) == [first]


def test_equal_identities_of_two_pods_are_two_lines() -> None:
    """An identity is compared only within one pod."""
    assert len(distinct([attempt(line_id=7, pod=2), attempt(line_id=7, pod=3)])) == 2


def test_lines_come_out_in_order_of_time() -> None:
    """Whatever their order of arrival."""
    lines = [client(at=at) for at in (30, 10, 20)]

    assert [line.start_us for line in distinct(lines)] == [10_000, 20_000, 30_000]


def test_no_lines_are_no_episode() -> None:
    """Nothing comes of nothing."""
    assert sizes() == []


def test_an_episode_belongs_to_the_window_of_its_first_request() -> None:
    """An early copy (clocks differ) does not move it; senders' and the primary's lines do."""
    (episode,) = episodes([arrival(at=0), bypassing(at=1), attempt(at=3), client(at=2)], HORIZON_US)

    assert first_request_us(episode) == 2_000


def test_leaked_requests_are_requests_too() -> None:
    """A leak belongs to the window in which it was sent."""
    (episode,) = episodes([arrival(at=0), leaking(at=5)], HORIZON_US)

    assert first_request_us(episode) == 5_000


def test_an_episode_without_request_belongs_to_its_first_line() -> None:
    """Orphans need a window too."""
    (episode,) = episodes([arrival(at=4), arrival(at=9)], HORIZON_US)

    assert first_request_us(episode) == 4_000
