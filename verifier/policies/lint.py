"""What a person should look at in policies, before anything is verified by them.

What only the documents show (a truncated percentage, a deprecated field) was noted by their
reader in `Policy.lints`; the rest follows from the policies together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from verifier.policies.advice import ADVICE
from verifier.policies.istio_versions import IstioVersion, version_rules
from verifier.policies.model import Lint, Policy, covers
from verifier.policies.node import one_line

_ORDER: Final = {"error": 0, "warning": 1, "note": 2}


def lint(policies: Sequence[Policy], istio: IstioVersion | None = None) -> list[Lint]:
    """All that is odd about policies: errors first, then by place; nothing twice.

    Args:
        policies: As `read_policies` gives them.
        istio: The version of the mesh; None: not known.
    """
    found = [one for policy in policies for one in policy.lints]
    for rule in _RULES:
        found += [one for policy in policies for one in rule(policy)]
    found += _shared_hosts(policies)
    if istio is not None:
        found += [one for policy in policies for one in version_rules(policy, istio)]
    if policies and not any(policy.mirrors for policy in policies):
        where = policies[0].source
        message = "no policy has a mirror: there is nothing to verify"
        found.append(Lint("error", where, "no-mirror", message))
    return in_order(found)


def in_order(found: Iterable[Lint]) -> list[Lint]:
    """Lints with what to do about each: errors first, then by place; nothing twice."""
    told = {msgspec.structs.replace(one, advice=ADVICE[one.code]) for one in found}
    return sorted(told, key=lambda one: (_ORDER[one.severity], one))


def _live_mirror(policy: Policy) -> Iterable[Lint]:
    """A mirror whose pods also get live traffic: copies and live requests look alike."""
    for mirror in policy.mirrors:
        for live in policy.live:
            if covers(live.destination, mirror.destination) or covers(
                mirror.destination, live.destination
            ):
                name = mirror.destination.subset or mirror.destination.host
                message = (
                    f"mirror {name} has live weight {live.weight} too: its live requests and its "
                    "copies can be told apart only by a marker"
                )
                alone = len(policy.live) == 1
                yield _at(
                    policy, "error" if alone else "warning", "mirror-has-live-weight", message
                )


def _unknown_subset(policy: Policy) -> Iterable[Lint]:
    """Subsets without a DestinationRule: their pods are told by name or a `version` label."""
    known = {(one.host, one.name) for one in policy.subsets}
    if policy.resource.startswith("VirtualService "):
        for one in policy.destinations():
            if one.subset and (one.host, one.subset) not in known:
                message = (
                    f"no DestinationRule given for subset {one.subset} of {one.host}: its pods are "
                    f"told by the label version={one.subset} or a name that ends with -{one.subset}"
                )
                yield _at(policy, "warning", "subset-without-destination-rule", message)


def _hidden_conditions(policy: Policy) -> Iterable[Lint]:
    """Conditions that no log shows: which route a request took is then unknown."""
    hidden = [name for condition in policy.match for name in condition.hidden]
    if hidden:
        names = ", ".join(dict.fromkeys(hidden))
        named = f" ({policy.route_name})" if policy.route_name else ""
        message = (
            f"no access log shows {names}: requests are unverifiable, route unknown, unless the "
            f"line names the route{named}"
        )
        severity = "note" if policy.route_name else "warning"
        yield _at(policy, severity, "hidden-condition", message)


def _several_mirrors(policy: Policy) -> Iterable[Lint]:
    """Several mirrors share one draw, so the smaller one's requests are among the larger one's."""
    if len(policy.mirrors) > 1:
        shares = ", ".join(f"{one.percent:g} %" for one in policy.mirrors)
        message = f"{len(policy.mirrors)} mirrors ({shares}): each owes a copy of its own"
        yield _at(policy, "note", "several-mirrors", message)


def _unreachable(policy: Policy) -> Iterable[Lint]:
    """A route behind one that takes every request."""
    for name, match in policy.earlier:
        if not match or any(one.always_holds() for one in match):
            message = f"can never match: {name} before it takes every request"
            severity = "error" if policy.mirrors else "warning"
            yield _at(policy, severity, "unreachable-route", message)
            return


_RULES: Final[tuple[Callable[[Policy], Iterable[Lint]], ...]] = (
    _live_mirror,
    _unknown_subset,
    _hidden_conditions,
    _several_mirrors,
    _unreachable,
)


def _shared_hosts(policies: Sequence[Policy]) -> Iterable[Lint]:
    """Hosts of two VirtualServices: sidecars use one of them, which one no line shows."""
    owners: dict[str, Policy] = {}
    for policy in policies:
        for host in policy.route_hosts:
            first = owners.setdefault(host, policy)
            if first.resource != policy.resource and host != "*":
                message = f"host {host} is also in {first.resource} ({first.source})"
                yield _at(policy, "warning", "host-in-two-resources", message)


def _at(policy: Policy, severity: str, code: str, message: str) -> Lint:
    return Lint(severity, policy.source, code, one_line(message))
