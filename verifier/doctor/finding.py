"""What a check found: how it is, what was seen, what to do. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Status(StrEnum):
    """How something is; `skipped`: it was not looked at, and something else says why."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


class Finding(msgspec.Struct, frozen=True):
    """One answer.

    Attributes:
        name: What was looked at.
        status: How it is.
        seen: What was seen, in words; never a secret, nor the address of a receiver.
        do: What to do about it; empty: nothing.
    """

    name: str
    status: Status
    seen: str
    do: str = ""


def ok(name: str, seen: str) -> Finding:
    """It is as it should be."""
    return Finding(name, Status.OK, seen)


def warn(name: str, seen: str, do: str) -> Finding:
    """It works, and should be mended."""
    return Finding(name, Status.WARN, seen, do)


def fail(name: str, seen: str, do: str) -> Finding:
    """It does not work."""
    return Finding(name, Status.FAIL, seen, do)


def skipped(name: str, why: str) -> Finding:
    """It could not be looked at."""
    return Finding(name, Status.SKIPPED, why)


def is_well(findings: list[Finding]) -> bool:
    """Whether nothing is to be mended."""
    return all(one.status in (Status.OK, Status.SKIPPED) for one in findings) and not all(
        one.status is Status.SKIPPED for one in findings
    )
