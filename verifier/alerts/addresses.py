"""Which addresses may be called: not those inside our own networks, unless told so. Pure.

Sources: OWASP "Server-Side Request Forgery Prevention"; IANA special-purpose address registries.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_NAT64: Final = ip_network("64:ff9b::/96")
"""Wraps IPv4 addresses for hosts that only speak IPv6 (RFC 6052)."""
_CARRIES_IPV4: Final = (ip_network("2002::/16"), ip_network("2001::/32"), ip_network("::/96"))
"""6to4, Teredo, the former IPv4-compatible form: nobody's receiver is there any more."""


def refusal(address: str, *, allow_private: bool) -> str | None:
    """Why an address may not be called; None: it may.

    Args:
        address: IPv4 or IPv6, as the resolver gives it, maybe with a zone.
        allow_private: Whether our own networks are meant: private, unique local, shared
            (CGNAT) and loopback ones. Link-local ones never are: cloud credentials live there.
    """
    try:
        found = _inner(ip_address(address.partition("%")[0]))
    except ValueError:
        return "not an address"
    if found is None:
        return "address in a tunnel"
    if found.is_loopback:
        return None if allow_private else "loopback address"
    if found.is_link_local:
        return "link-local address"
    if found.is_unspecified or found.is_multicast or found.is_reserved:
        return "special address"
    if not found.is_global or (isinstance(found, IPv6Address) and found.is_site_local):
        return None if allow_private else "private address"
    return None


def _inner(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address | None:
    """The address that is meant in the end; None: it would leave through a tunnel."""
    if isinstance(found, IPv4Address):
        return found
    if found.ipv4_mapped is not None:
        return found.ipv4_mapped
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    tunnelled = any(found in network for network in _CARRIES_IPV4)
    return None if tunnelled and not (found.is_loopback or found.is_unspecified) else found
