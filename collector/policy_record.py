"""A policy as the collector keeps it, without knowing what it demands."""

from __future__ import annotations

import msgspec


class PolicyRecord(msgspec.Struct, frozen=True):
    """A policy as it is stored.

    Attributes:
        name: Its name, the same over all its versions.
        document: The policy itself, as JSON text.
        hosts: Every host to watch for it, canonical.
        valid_from_us: When it comes into force, µs since the epoch. None: a first version since
            ever, a later one from when it is recorded.
    """

    name: str
    document: str
    hosts: tuple[str, ...]
    valid_from_us: int | None = None
