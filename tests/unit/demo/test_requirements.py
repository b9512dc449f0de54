from __future__ import annotations

import pytest

from collector.errors import UsageError
from verifier.demo import requirements
from verifier.demo.requirements import check_requirements, unsupported_reason


@pytest.mark.parametrize(
    ("system", "machine", "libc", "reason"),
    [
        ("Linux", "x86_64", ("glibc", "2.31"), None),
        ("Linux", "x86_64", ("glibc", "2.36"), None),
        ("Linux", "x86_64", ("glibc", "2.28"), "its glibc is 2.28"),
        ("Linux", "x86_64", ("", ""), "its C library is not glibc"),
        ("Linux", "aarch64", ("glibc", "2.36"), "this is Linux on aarch64"),
        ("Darwin", "arm64", ("", ""), "this is Darwin on arm64"),
    ],
)
def test_platforms_are_told_apart(
    system: str, machine: str, libc: tuple[str, str], reason: str | None
) -> None:
    """The servers' wheels exist for one platform; others get the reason in words."""
    assert unsupported_reason(system, machine, libc) == reason


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who installed without the extra is told what to install."""
    monkeypatch.setattr(requirements, "unsupported_reason", lambda *_: None)

    with pytest.raises(UsageError, match=r"pip install 'mirrorproof\[demo\]'"):
        check_requirements(["no_such_wheel"])


def test_an_unsupported_platform_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says what the demo needs and what this machine is."""
    monkeypatch.setattr(requirements, "unsupported_reason", lambda *_: "this is a toaster")

    with pytest.raises(UsageError, match=r"^the demo needs Linux .*; this is a toaster$"):
        check_requirements([])
