"""The ordinary key, told in a few comparisons: one request, one copy, nothing odd.

Nine keys in ten are so. The answer must be the one `judge` gives; a property test holds both
together. Records are read by position, as naming their fields would cost as much as the rest.
"""

from __future__ import annotations

from typing import Any, Final

from collector.traits import ORDINARY_MASK, Trait, forwarded_hops
from verifier.pairing.lines import Side
from verifier.pairing.requests import SLACK_US

_MARKS: Final = Trait.MARKED | Trait.SHADOW_HOST
# Positions in a record.
_START, _DURATION, _TRAITS, _CODE, _SIDE = 2, 3, 4, 5, 6

DIFFERS: Final = 1
"""The copy's status differs from the request's."""
UNCOMPARED: Final = 2
"""One of the two has no response to compare."""
BY_SENDER: Final = 4
"""The sender logged the request."""
UNLOGGED: Final = 8
"""The primary did not log it."""
OUTCOMES: Final = 16


def ordinary(records: list[tuple[Any, ...]], horizon_us: int) -> int | None:
    """What an ordinary key amounts to: one matched request, as bits of the constants above.

    None when the key is not ordinary.

    Args:
        records: All records of one key, none repeated.
        horizon_us: The policy's horizon.
    """
    client = attempt = copy = None
    traits = 0
    for record in records:
        side = record[_SIDE]
        traits |= record[_TRAITS]
        if side == Side.SERVER_MIRROR and copy is None:
            copy = record
        elif side == Side.SERVER_LIVE and attempt is None:
            attempt = record
        elif side == Side.CLIENT_LIVE and client is None:
            client = record
        else:
            return None
    request = client or attempt
    if copy is None or request is None or traits & ORDINARY_MASK:
        return None
    if not _one_episode(client, attempt, copy, horizon_us):
        return None
    if not copy[_TRAITS] & _MARKS and not _one_more_hop(attempt, client, copy):
        return None
    found = 0 if client is None else BY_SENDER
    if attempt is None:
        found |= UNLOGGED
    if not request[_CODE] or not copy[_CODE]:
        return found | UNCOMPARED
    return found if request[_CODE] == copy[_CODE] else found | DIFFERS


def _one_episode(client: Any, attempt: Any, copy: Any, horizon_us: int) -> bool:
    """Whether the lines lie close together, and the attempt within the sender's line."""
    first = last = copy[_START]
    for record in (client, attempt):
        if record is not None:
            first = min(first, record[_START])
            last = max(last, record[_START])
    if last - first > horizon_us:
        return False
    if client is None or attempt is None:
        return True
    end = client[_START] + client[_DURATION] * 1000
    return bool(client[_START] - SLACK_US <= attempt[_START] <= end + SLACK_US)


def _one_more_hop(attempt: Any, client: Any, copy: Any) -> bool:
    """Whether the arrival has one more forwarded address than the request, or none are logged."""
    hops = forwarded_hops(copy[_TRAITS])
    if hops is None:
        return True
    for record in (attempt, client):
        if record is not None:
            reference = forwarded_hops(record[_TRAITS])
            if reference is not None:
                return hops > reference
    return False
