"""The digest of a window's row: it rests on all that was stored of it, and on the row before.

The rows of a policy form a chain in commit order, so that none can be changed or taken out unseen
without writing all that follow anew. Who keeps the last digest elsewhere sees that, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

DIGEST_BYTES: Final = 32

# What follows from the chain, is edited later, or is the database's own numbering.
_NOT_SAID: Final = frozenset(
    ("id", "digest", "previous_digest", "superseded_us", "policy_version_id")
)


def digest_of(
    previous: bytes,
    version: tuple[bytes, int | None],
    window: Mapping[str, Any],
    findings: Iterable[Mapping[str, Any]],
) -> bytes:
    """The digest of a row.

    Args:
        previous: The digest of the policy's row before; empty: there is none.
        version: Digest of the policy version in force, see `collector.db.policies`, and from when
            it is valid.
        window: The row of `settled_window`, by column.
        findings: Its rows of `finding`, in any order.
    """
    told = [json.dumps(_said(one), ensure_ascii=True) for one in findings]
    said = [previous.hex(), version[0].hex(), version[1], _said(window), sorted(told)]
    return blake2b(json.dumps(said).encode(), digest_size=DIGEST_BYTES).digest()


def _said(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """A row in one notation, whatever database it comes from."""
    return [(name, _plain(row[name])) for name in sorted(row) if name not in _NOT_SAID]


def _plain(value: Any) -> Any:
    return bytes(value).hex() if isinstance(value, bytes | memoryview | bytearray) else value
