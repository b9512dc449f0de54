"""What policies mean by the version of Istio that carries them out.

Source: Istio's release notes and `pilot/pkg/features/pilot.go` (DISABLE_SHADOW_HOST_SUFFIX).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from collector.errors import UsageError
from verifier.policies.model import ALWAYS, Lint, Policy
from verifier.policies.node import one_line

_VERSION: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[-+].*)?")


class IstioVersion(NamedTuple):
    """A release of Istio."""

    major: int
    minor: int
    patch: int = 0


MIRRORS: Final = IstioVersion(1, 20)
"""Knows `mirrors`; before, only `mirror`."""
SHARE_FIXED: Final = IstioVersion(1, 24, 3)
"""Takes the right percentage from an HTTPRoute."""
NO_SUFFIX: Final = IstioVersion(1, 28)
"""Adds no `-shadow` to the authority of copies any more, unless it is told to."""


def read_version(name: str, text: str) -> IstioVersion:
    """A version such as `1.28` or `1.27.3`.

    Raises:
        UsageError: It is something else; `name` says of what.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        raise UsageError(f"{name} must be a version such as 1.28 or 1.27.3; is {text!r}")
    return IstioVersion(int(match[1]), int(match[2]), int(match[3] or 0))


def version_rules(policy: Policy, istio: IstioVersion) -> Iterable[Lint]:
    """What a version of Istio makes of a policy."""
    if not policy.mirrors:
        return
    if istio < MIRRORS and len(policy.mirrors) > 1:
        message = f"Istio {istio.major}.{istio.minor} knows one mirror only, not mirrors"
        yield _at(policy, "error", "mirrors-unknown-to-istio", message)
    sampled = any(mirror.percent < ALWAYS for mirror in policy.mirrors)
    if policy.resource.startswith("HTTPRoute ") and sampled and istio < SHARE_FIXED:
        message = "this version of Istio takes a wrong percentage from an HTTPRoute"
        yield _at(policy, "error", "percentage-wrong-in-istio", message)
    if istio >= NO_SUFFIX:
        message = (
            "copies carry no -shadow suffix by default since Istio 1.28: they are told by "
            "X-Forwarded-For or the TLS name, else by the policy"
        )
    else:
        message = (
            "copies carry the suffix -shadow, which Istio 1.28 takes away by default: verdicts "
            "stay the same"
        )
    yield _at(policy, "note", "shadow-suffix", message)


def _at(policy: Policy, severity: str, code: str, message: str) -> Lint:
    return Lint(severity, policy.source, code, one_line(message))
