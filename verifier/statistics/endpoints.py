"""From a method and a path to an endpoint, `GET /orders/{id}`: what requests of one kind share.

Parts of a path that look like an identifier are one and the same; whatever is left over beyond a
number of endpoints is `other`, so that nobody can make tables grow by asking for many paths.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

OTHER: Final = "other"
"""The endpoint of all requests beyond the most frequent endpoints."""

MAX_ENDPOINTS: Final = 100
"""Of a policy, with `other`."""

_MAX_PARTS: Final = 8
_MAX_LENGTH: Final = 120
_METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
)
# Numbers; UUIDs and other hexadecimal names with a digit; long names with digits; anything that
# only a machine would write. Versions as `v2` stay.
_IDENTIFIER: Final = re.compile(
    r"[0-9]+([.,:_-][0-9]+)*"
    r"|(?=.*[0-9])[0-9A-Fa-f-]{8,}"
    r"|(?=.*[0-9].*[0-9])(?=.*[A-Za-z])[\w~=-]{16,}"
    r"|.*(%|@|\[[A-Z]).*"
    r"|.{40,}",
    re.DOTALL,
)


def endpoint_of(method: str, path: str) -> str:
    """The endpoint of a request; the query does not matter.

    Args:
        method: As logged.
        path: As logged or as it was redacted, with or without a query.
    """
    told = method if method in _METHODS else "?"
    return f"{told} {_template(path.partition('?')[0][:1024])}"


@lru_cache(maxsize=16_384)
def _template(path: str) -> str:
    parts = path.partition("#")[0].split("/")
    kept = ["{id}" if _IDENTIFIER.fullmatch(part) else part for part in parts[: _MAX_PARTS + 1]]
    if len(parts) > len(kept):
        kept.append("…")
    found = "/".join(kept)
    return found if len(found) <= _MAX_LENGTH else found[: _MAX_LENGTH - 1] + "…"
