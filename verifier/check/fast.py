"""The ordinary key, told in a few comparisons: as many copies as requests, and nothing odd.

Nearly all keys are so. The answer must be the one `judge` gives; a property test holds both
together. Records are read by position, as naming their fields would cost as much as the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from collector.traits import ORDINARY_MASK, Trait, forwarded_hops
from verifier.check.records import Kind
from verifier.pairing.lines import Side
from verifier.pairing.requests import SLACK_US

MOST_RECORDS: Final = 24
"""Larger keys are judged in full; they are rare, and the short way is quadratic in part."""

_MARKS: Final = Trait.MARKED | Trait.SHADOW_HOST
# Positions in a record.
_START, _KIND, _DURATION = 2, 3, 4
_CLIENT, _ATTEMPT, _COPY = int(Side.CLIENT_LIVE), int(Side.SERVER_LIVE), int(Side.SERVER_MIRROR)

Packed = tuple[Any, ...]
Told = tuple[Packed, Kind]


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


def ordinary(records: list[Packed], kinds: Mapping[int, Kind], horizon_us: int) -> Ordinary | None:
    """What an ordinary key amounts to; None when it is not ordinary.

    Args:
        records: All records of one key, none repeated.
        kinds: What their kind numbers stand for.
        horizon_us: The policy's horizon.
    """
    clients: list[Told] = []
    attempts: list[Told] = []
    copies: list[Told] = []
    odd = named = 0
    for record in records:
        kind = kinds[record[_KIND]]
        odd |= kind.traits & ORDINARY_MASK | kind.route_unknown
        named |= kind.traits & Trait.OTHER_NAME
        if kind.side == _COPY:
            copies.append((record, kind))
        elif kind.side == _ATTEMPT:
            attempts.append((record, kind))
        elif kind.side == _CLIENT:
            clients.append((record, kind))
        else:
            return None
    requests = clients or attempts
    count = len(requests)
    if odd or len(copies) != count or not count or (named and not clients):
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


def _accounted(clients: list[Told], attempts: list[Told]) -> bool:
    """Whether each attempt is a request of its own, or lies within a sender's line."""
    if not clients:
        # A failed attempt that another follows may be one request with it, or two.
        return len(attempts) == 1 or not any(kind.traits & Trait.FAILED for _, kind in attempts)
    if len(attempts) > len(clients):
        return False
    for attempt, _ in attempts:
        start = attempt[_START]
        for client, _ in clients:
            early = start - client[_START]
            if -SLACK_US <= early <= client[_DURATION] * 1000 + SLACK_US:
                break
        else:
            return False
    return True


def _all_copies(copies: list[Told], attempts: list[Told], clients: list[Told]) -> bool:
    """Whether no arrival looks like live traffic: all carry a mark, or one more hop."""
    marked = 0
    for _, kind in copies:
        if kind.traits & _MARKS:
            marked += 1
    if marked:
        return marked == len(copies)
    sent = [forwarded_hops(kind.traits) for _, kind in (*attempts, *clients)]
    known = [hops for hops in sent if hops is not None]
    for _, kind in copies:
        hops = forwarded_hops(kind.traits)
        if hops is not None and (not known or hops <= min(known)):
            return False
    return True


def _compare(requests: list[Told], copies: list[Told]) -> tuple[int, int]:
    """How many pairs of statuses can be compared, and in how many they differ."""
    if len(requests) == 1:
        code, copied = requests[0][1].code, copies[0][1].code
        return (1, int(code != copied)) if code and copied else (0, 0)
    primary = [kind.code for _, kind in requests if kind.code]
    mirrored = [kind.code for _, kind in copies if kind.code]
    pairs = min(len(primary), len(mirrored))
    same = 0
    for code in primary:
        if code in mirrored:
            mirrored.remove(code)
            same += 1
    return pairs, max(0, pairs - same)
