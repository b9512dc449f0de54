"""The ordinary key, told in a few comparisons: as many copies as requests, and nothing odd.

Nearly all keys are so. The answer must be the one `judge` gives; a property test holds both
together. Records are read by position, as naming their fields would cost as much as the rest.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from collector.traits import ORDINARY_MASK, Trait, forwarded_hops
from verifier.pairing.lines import Side
from verifier.pairing.requests import SLACK_US

MOST_RECORDS: Final = 24
"""Larger keys are judged in full; they are rare, and the short way is quadratic in part."""

_MARKS: Final = Trait.MARKED | Trait.SHADOW_HOST
_ODD: Final = ORDINARY_MASK
# Positions in a record.
_START, _DURATION, _TRAITS, _CODE, _SIDE = 2, 3, 4, 5, 6
_CLIENT, _ATTEMPT, _COPY = int(Side.CLIENT_LIVE), int(Side.SERVER_LIVE), int(Side.SERVER_MIRROR)

Packed = tuple[Any, ...]


class Ordinary(NamedTuple):
    """What an ordinary key amounts to: `requests`, all matched.

    `control` of them were logged by their sender, `lost` of those not by the primary; `paired`
    have two statuses to compare, which differ in `differs`.
    """

    requests: int
    paired: int
    differs: int
    control: int
    lost: int


def ordinary(records: list[Packed], horizon_us: int) -> Ordinary | None:
    """What an ordinary key amounts to; None when it is not ordinary.

    Args:
        records: All records of one key, none repeated.
        horizon_us: The policy's horizon.
    """
    clients: list[Packed] = []
    attempts: list[Packed] = []
    copies: list[Packed] = []
    traits = 0
    for record in records:
        side = record[_SIDE]
        traits |= record[_TRAITS]
        if side == _COPY:
            copies.append(record)
        elif side == _ATTEMPT:
            attempts.append(record)
        elif side == _CLIENT:
            clients.append(record)
        else:
            return None
    requests = clients or attempts
    count = len(requests)
    if len(copies) != count or traits & _ODD or not count:
        return None
    if not _one_episode(records, horizon_us) or not _all_copies(copies, attempts, clients):
        return None
    if attempts and not _accounted(clients, attempts):
        return None
    paired, differs = _compare(requests, copies)
    if not clients:
        return Ordinary(count, paired, differs, 0, 0)
    return Ordinary(count, paired, differs, count, max(0, count - len(attempts)))


def _one_episode(records: list[Packed], horizon_us: int) -> bool:
    """Whether the lines start so close together that nothing can separate them."""
    starts = [record[_START] for record in records]
    return bool(max(starts) - min(starts) <= horizon_us)


def _accounted(clients: list[Packed], attempts: list[Packed]) -> bool:
    """Whether each attempt is a request of its own, or lies within a sender's line."""
    if not clients:
        # A failed attempt that another follows may be one request with it, or two.
        return len(attempts) == 1 or not any(a[_TRAITS] & Trait.FAILED for a in attempts)
    if len(attempts) > len(clients):
        return False
    spans = [(c[_START] - SLACK_US, c[_START] + c[_DURATION] * 1000 + SLACK_US) for c in clients]
    return all(any(first <= a[_START] <= last for first, last in spans) for a in attempts)


def _all_copies(copies: list[Packed], attempts: list[Packed], clients: list[Packed]) -> bool:
    """Whether no arrival looks like live traffic: all carry a mark, or one more hop."""
    plain = [copy[_TRAITS] for copy in copies if not copy[_TRAITS] & _MARKS]
    if not plain:
        return True
    if len(plain) != len(copies):
        return False
    sent = [forwarded_hops(record[_TRAITS]) for record in (*attempts, *clients)]
    known = [hops for hops in sent if hops is not None]
    for traits in plain:
        hops = forwarded_hops(traits)
        if hops is not None and (not known or hops <= min(known)):
            return False
    return True


def _compare(requests: list[Packed], copies: list[Packed]) -> tuple[int, int]:
    """How many pairs of statuses can be compared, and in how many they differ."""
    if len(requests) == 1:
        code, copied = requests[0][_CODE], copies[0][_CODE]
        return (1, int(code != copied)) if code and copied else (0, 0)
    primary = [record[_CODE] for record in requests if record[_CODE]]
    mirrored = [record[_CODE] for record in copies if record[_CODE]]
    pairs = min(len(primary), len(mirrored))
    same = 0
    for code in primary:
        if code in mirrored:
            mirrored.remove(code)
            same += 1
    return pairs, max(0, pairs - same)
