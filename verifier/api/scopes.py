"""What callers may do. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a caller may do."""

    READ = "read"
    """Statements, windows, incidents, findings without their lines."""
    RAW = "raw"
    """Also lines: requests by id, evidence, quarantine."""
    ADMIN = "admin"
    """All of it, and changes: policies, endpoints, silences, replays, erasure."""


_INCLUDED: Final = {
    Scope.READ: {Scope.READ},
    Scope.RAW: {Scope.READ, Scope.RAW},
    Scope.ADMIN: {Scope.READ, Scope.RAW, Scope.ADMIN},
}


def with_included(scopes: set[Scope]) -> frozenset[Scope]:
    """Scopes with those that they include."""
    return frozenset(inner for scope in scopes for inner in _INCLUDED[scope])
