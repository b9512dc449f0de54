"""The smallest stretch of a partition that can be read alone; see `collector.service.careful`."""

from __future__ import annotations

from typing import Final, Protocol

from collector.sources.protocol import Record

LARGE_BYTES: Final = 64 * 1024 * 1024
"""Unpacked; brokers refuse more than 1 MiB packed by default, and logs shrink to a tenth."""


class Unit(Protocol):
    """The smallest stretch of a partition that can be read alone.

    Attributes:
        from_offset: Where it was asked to begin.
        to_offset: The offset after its last record.
        is_large: Whether it becomes larger than `LARGE_BYTES` when it is unpacked.
        since_us: The first record's time, µs since the epoch; None: not known.
        until_us: The last record's time.
        leader_epoch: The broker's, of its records; None: not known.
    """

    from_offset: int
    to_offset: int
    is_large: bool
    since_us: int | None
    until_us: int | None
    leader_epoch: int | None

    def unpack(self) -> list[Record]:
        """Its records. May raise anything, or end the process."""
        ...


class UnitReader(Protocol):
    """Finds units of one partition."""

    def look(self, offset: int) -> Unit | None:
        """The unit that holds an offset; None: there is nothing to read. Raises Retryable."""
        ...

    def close(self) -> None:
        """Closes its connections."""
        ...
