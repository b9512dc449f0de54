"""The shapes of ordinary keys: how many lines of each part they have, as one number. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from typing import Final, NamedTuple

from verifier.pairing.lines import MirrorGroup

CLIENT: Final = 8**0
PRIMARY: Final = 8**1
PLAIN: Final = 8**2
"""A primary's line that came past the proxies, as far as TLS tells."""
MOST_MIRRORS: Final = 5


def mirror_part(group: int) -> int:
    """The part of an arrival at a mirror group."""
    return 1 << 3 * (3 + group)


class Shape(NamedTuple):
    """Which lines an ordinary key has."""

    client: bool
    primary: bool
    mirrors: tuple[bool, ...]


def shapes(
    groups: Sequence[MirrorGroup], primary_logged: bool | None, *, lacking: bool
) -> dict[int, Shape]:
    """The shapes of one ordinary request with the copies that it owes, or without its one copy."""
    if lacking and (len(groups) != 1 or not groups[0].certain):
        return {}
    copied = [(False,)] if lacking else _draws(groups)
    found = {}
    for client, primary in product((0, 1), (0, PRIMARY, PLAIN)):
        if not client and (not primary or (lacking and primary == PLAIN)):
            continue
        if client and not primary and primary_logged is None:
            continue
        for mirrors in copied:
            arrivals = sum(mirror_part(n) for n, is_there in enumerate(mirrors) if is_there)
            shape = Shape(bool(client), bool(primary), mirrors)
            found[client * CLIENT + primary + arrivals] = shape
    return found


def _draws(groups: Sequence[MirrorGroup]) -> list[tuple[bool, ...]]:
    """Which mirrors may get a copy together.

    All share one draw: who has a larger share gets what a smaller one gets.
    """
    shares = [1.0 if group.certain else group.percents[0] / 100 for group in groups]
    return [
        drawn
        for drawn in product((False, True), repeat=len(shares))
        if all(is_there or share < 1 for is_there, share in zip(drawn, shares, strict=True))
        and not any(
            drawn[smaller] and not drawn[larger]
            for smaller, larger in permutations(range(len(shares)), 2)
            if 1 > shares[larger] >= shares[smaller]
        )
    ]
