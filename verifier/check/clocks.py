"""The clocks of pods, learned from the records that `check` has spilled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from verifier.check.kinds import Stretch
from verifier.check.records import DURATION, KEY, KIND, LINE_ID, START, Kind, read_records
from verifier.pairing.clocks import MIN_US, ROLES, Gaps, Told
from verifier.pairing.lines import Side

_SAMPLE: Final = 50_000

Packed = tuple[Any, ...]


def learn(shares: Iterable[Iterable[Path]], kinds: Mapping[int, Kind]) -> dict[int, int]:
    """How far the clocks of pods are ahead of most others', µs; pods near them are left out.

    Args:
        shares: The spill files of each share of the keys.
        kinds: What the kind numbers of records stand for.
    """
    gaps = Gaps()
    read = 0
    for files in shares:
        keys: dict[int, list[Packed]] = defaultdict(list)
        for record in islice(read_records(files), 2 * _SAMPLE):
            keys[record[KEY]].append(record)
            read += 1
        for records in keys.values():
            gaps.add(_alone(records, kinds))
        if read >= _SAMPLE:
            break
    return {pod: us for pod, us in gaps.ahead().items() if abs(us) >= MIN_US}


def shift(stretch: Stretch | None, ahead_us: int) -> None:
    """Puts a pod's stretch on the clock of most others."""
    if stretch is not None:
        stretch.first_us -= ahead_us
        stretch.last_us -= ahead_us


def _alone(records: list[Packed], kinds: Mapping[int, Kind]) -> list[Told]:
    """What each side did of a request; without sides that have several lines, as of retries."""
    lines = {(kinds[record[KIND]].pod, record[LINE_ID]): record for record in records}
    seen: dict[int, list[Told]] = defaultdict(list)
    for (pod, _), record in lines.items():
        side, start = kinds[record[KIND]].side, record[START]
        end = start + record[DURATION] * 1000
        seen[side].append(Told(pod, start, end, side == Side.CLIENT_LIVE))
    return [starts[0] for side, starts in seen.items() if side in ROLES and len(starts) == 1]
