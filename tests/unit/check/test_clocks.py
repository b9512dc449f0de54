"""What is learned of the clocks of pods."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifier.check.clocks import learn, shift
from verifier.check.kinds import Stretch
from verifier.check.records import LAYOUT, Kind
from verifier.pairing.lines import Side

SENDER, PRIMARY, OTHER_PRIMARY, MIRROR = 0, 1, 2, 3
SIDES = {
    SENDER: Side.CLIENT_LIVE,
    PRIMARY: Side.SERVER_LIVE,
    OTHER_PRIMARY: Side.SERVER_LIVE,
    MIRROR: Side.SERVER_MIRROR,
}
KINDS = {pod: Kind(pod, 200, 0, int(side), 0, 0, 0, 0) for pod, side in SIDES.items()}
MS = 1000


class Spill:
    """One share's spill file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "0-1"
        self.lines = 0

    def add(
        self, key: int, pod: int, start_us: int, line_id: int | None = None, lasts_ms: int = 0
    ) -> None:
        """A line of a request."""
        self.lines += 1
        identity = self.lines if line_id is None else line_id
        with self.path.open("ab") as file:
            file.write(LAYOUT.pack(key, identity, start_us, pod, lasts_ms, 0, self.lines))

    def requests(self, ahead: dict[int, int], pods: tuple[int, ...], first_key: int = 0) -> None:
        """Thirty requests that some pods saw, at most 3 ms after each other by a true clock."""
        for number in range(30):
            for hop, pod in enumerate(pods):
                start = number * 100 * MS + hop * (number % 3) * MS
                self.add(first_key + number, pod, start + ahead.get(pod, 0))

    def learned(self) -> dict[int, int]:
        """What the lines tell, in whole tenths of seconds."""
        found = learn([[self.path]], KINDS)
        return {pod: round(us, -5) for pod, us in found.items()}


@pytest.fixture
def spill(tmp_path: Path) -> Spill:
    """A share without any line yet."""
    return Spill(tmp_path)


def test_clocks_that_agree_are_left_alone(spill: Spill) -> None:
    """What the network takes is no clock's difference."""
    spill.requests({MIRROR: 15 * MS}, (SENDER, PRIMARY, MIRROR))

    assert spill.learned() == {}


def test_the_pod_that_differs_from_most_is_ahead(spill: Spill) -> None:
    """Two pods agree, so that the third is wrong, whichever it is."""
    spill.requests({PRIMARY: 500 * MS}, (SENDER, PRIMARY, MIRROR))

    assert spill.learned() == {PRIMARY: 500 * MS}


def test_pods_are_compared_across_others(spill: Spill) -> None:
    """No request was seen by both pods of the primary, but the sender saw those of each."""
    spill.requests({OTHER_PRIMARY: -7000 * MS}, (SENDER, PRIMARY))
    spill.requests({OTHER_PRIMARY: -7000 * MS}, (SENDER, OTHER_PRIMARY), 100)

    assert spill.learned() == {OTHER_PRIMARY: -7000 * MS}


def test_few_requests_tell_nothing(spill: Spill) -> None:
    """Nine may all have waited."""
    for key in range(9):
        spill.add(key, SENDER, 0)
        spill.add(key, PRIMARY, 900 * MS)

    assert spill.learned() == {}


def test_differences_that_vary_are_no_clocks(spill: Spill) -> None:
    """A retry waits now longer, now shorter."""
    for key in range(30):
        spill.add(key, SENDER, 0)
        spill.add(key, PRIMARY, key * 100 * MS)

    assert spill.learned() == {}


def test_sides_with_several_lines_are_left_out(spill: Spill) -> None:
    """Which of the attempts the sender's line is about cannot be told; its copy can."""
    spill.requests({MIRROR: 300 * MS}, (SENDER, PRIMARY, MIRROR))
    for key in range(30):
        spill.add(key, PRIMARY, 90_000 * MS)

    assert spill.learned() in ({MIRROR: 300 * MS}, {SENDER: -300 * MS})


def test_lines_read_again_count_once(spill: Spill) -> None:
    """A repeated line is not a second line of its side."""
    for key in range(30):
        for _ in range(2):
            spill.add(key, SENDER, 0, line_id=key)
            spill.add(key, PRIMARY, 400 * MS, line_id=1000 + key)
            spill.add(key, MIRROR, 0, line_id=2000 + key)

    assert spill.learned() == {PRIMARY: 400 * MS}


def test_a_stretch_is_put_on_the_common_clock() -> None:
    """It then holds true times; a pod without lines has none."""
    stretch = Stretch(5000, 9000)

    shift(stretch, 1000)
    shift(None, 1000)

    assert (stretch.first_us, stretch.last_us) == (4000, 8000)


def test_waiting_within_the_senders_time_is_no_clock(spill: Spill) -> None:
    """A busy sender lets each request wait as long for the primary as the one before."""
    for key in range(30):
        start = key * 200 * MS
        spill.add(key, SENDER, start, lasts_ms=100)
        spill.add(key, PRIMARY, start + 70 * MS, lasts_ms=28)
        spill.add(key, MIRROR, start)

    assert spill.learned() == {}
