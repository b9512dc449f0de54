"""What the response code, flags and addresses of a line mean for mirroring, as a bit set.

The bits are stored beside each observation, so that settling can pick out the ordinary lines
in SQL; they are the only place where Envoy's response flags are interpreted.

Source: Envoy docs, substitution_formatter (response flags); router.cc (what is shadowed).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from collector.records import AccessLog


class Trait:
    """Properties of one line that matter for its verdict, as bits.

    Plain numbers, no enum: they are combined for every line, and an enum takes ten times as long.
    """

    NO_ID: Final = 1 << 0
    """No request id: nothing can be paired by it."""
    AMBIGUOUS: Final = 1 << 1
    """The text can be read in two ways."""
    UNMIRRORED: Final = 1 << 2
    """CONNECT or an upgrade: Envoy never mirrors these."""
    NOT_ROUTED: Final = 1 << 3
    """Answered before a router forwarded anything. A sender makes no copy of such a request."""
    NEVER_CONNECTED: Final = 1 << 4
    """The upstream connection failed or was refused: a copy may or may not exist."""
    ABANDONED: Final = 1 << 5
    """The client left, or broke the protocol, on the way: a copy may or may not exist."""
    FAILED: Final = 1 << 6
    """An outcome that makes a proxy try again: 5xx, code 0 or a reset."""
    SHADOW_HOST: Final = 1 << 7
    """The authority ends in `-shadow`: Envoy's own mark of a copy (before Istio 1.28)."""
    MARKED: Final = 1 << 8
    """The operator's own marker field says: copy."""
    OTHER_NAME: Final = 1 << 9
    """The authority is no watched host, only the pod is one of its service: evidence beside a
    sender's line to that service, and nothing alone (probes and direct calls look like that)."""
    PARTIAL: Final = 1 << 10
    """Logged while the stream still ran (`access_log_options`): another line tells its end."""
    REDIRECTED: Final = 1 << 11
    """A sender's line of a hop that it redirected itself, logged with the path of the next hop."""
    PLAIN: Final = 1 << 12
    """A receiver's line without a TLS server name: no proxy of the mesh sent it, where they use
    TLS."""


ORDINARY_MASK: Final[int] = (
    Trait.NO_ID
    | Trait.AMBIGUOUS
    | Trait.UNMIRRORED
    | Trait.NOT_ROUTED
    | Trait.NEVER_CONNECTED
    | Trait.ABANDONED
    | Trait.PARTIAL
    | Trait.REDIRECTED
)
"""A line with none of these bits is ordinary: a request or arrival like most."""

HOP_SHIFT: Final = 16
"""The number of forwarded addresses is packed above the trait bits, see `forwarded_hops`."""
HOP_LIMIT: Final = 30
"""The largest packed number that tells how many there were: one more than the addresses."""
_NOT_ROUTED_FLAGS: Final = frozenset(
    {"NR", "NC", "UH", "FI", "RL", "RLSE", "UAEX", "DPE", "IH", "NFCF", "RFCF", "DO", "DF", "OM"}
)
_NEVER_CONNECTED_FLAGS: Final = frozenset({"UF", "UO"})
_ABANDONED_FLAGS: Final = frozenset({"DC", "DPE"})
_RESET_FLAGS: Final = frozenset({"UF", "UO", "UC", "UR", "LR", "UT", "DC", "URX", "UPE", "SI"})


@lru_cache(maxsize=4096)
def outcome_traits(method: str, code: int, flags: str, details: str) -> int:
    """Traits that follow from method, response code, response flags and code details.

    Args:
        method: HTTP method, as logged.
        code: Response code; 0 when the client left before a response.
        flags: Response flags, comma separated, empty for none.
        details: Response code details; `via_upstream` proves that an upstream answered, for
            example where `UO` only says that no further retry was allowed.
    """
    found = 0
    flag_set = frozenset(flags.split(",")) if flags else frozenset()
    if method == "CONNECT" or code == 101:
        found |= Trait.UNMIRRORED
    if flag_set & _NOT_ROUTED_FLAGS:
        found |= Trait.NOT_ROUTED
    if flag_set & _NEVER_CONNECTED_FLAGS and details != "via_upstream":
        found |= Trait.NEVER_CONNECTED
    if code == 0 or flag_set & _ABANDONED_FLAGS:
        found |= Trait.ABANDONED
    if not (code or flags or details):
        found |= Trait.PARTIAL
    if details == "internal_redirect":
        found |= Trait.REDIRECTED
    if code >= 500 or code == 0 or flag_set & _RESET_FLAGS:
        found |= Trait.FAILED
    return found


def _hop_bits(forwarded_for: str | None) -> int:
    """The number of X-Forwarded-For addresses, as it is packed above the trait bits."""
    if forwarded_for is None:
        return 0
    if not forwarded_for:
        return 1 << HOP_SHIFT
    hops = forwarded_for.count(",") + 1
    return (hops + 1 if hops < HOP_LIMIT else HOP_LIMIT + 1) << HOP_SHIFT


def forwarded_hops(traits: int) -> int | None:
    """How many addresses X-Forwarded-For held; None when it is not logged, or above 29.

    A client may send any number of them: beyond the limit one more would not show.

    The sending proxy's async client appends its own address to a copy, and only to a copy: the
    copy has one more than the live request. Source: Envoy `AsyncStreamImpl::sendHeaders`.
    """
    packed = traits >> HOP_SHIFT
    return packed - 1 if 0 < packed <= HOP_LIMIT else None


_ROUTED_MASK: Final = ~Trait.NOT_ROUTED


def traits_of(log: AccessLog, *, shadow_host: bool, marked: bool = False) -> int:
    """All traits of a line.

    Args:
        log: The line's fields.
        shadow_host: Whether the authority carried Envoy's `-shadow` suffix.
        marked: Whether the operator's marker field says that this is a copy.

    Returns:
        `Trait` bits, and above them what `forwarded_hops` unpacks; below 2**22.
    """
    # Clients choose the method: only the one that matters may get into the cache.
    method = "CONNECT" if log.method == "CONNECT" else ""
    found = outcome_traits(method, log.code, log.flags, log.details)
    if log.upstream_host:
        # Some try did go out: `UH` may be said of a retry, `DPE` of a body.
        found &= _ROUTED_MASK
    elif not log.flags and log.code and log.details not in ("", "via_upstream"):
        # Redirects, direct responses, and refusals by RBAC or JWT set no flag.
        found |= Trait.NOT_ROUTED
    found |= _hop_bits(log.forwarded_for)
    if not log.request_id:
        found |= Trait.NO_ID
    if log.ambiguous:
        found |= Trait.AMBIGUOUS
    if shadow_host:
        found |= Trait.SHADOW_HOST
    if marked:
        found |= Trait.MARKED
    return found
