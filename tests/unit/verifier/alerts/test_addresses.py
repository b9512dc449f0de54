"""Which addresses may be called."""

from __future__ import annotations

import pytest

from verifier.alerts.addresses import refusal

PUBLIC = [
    *("93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"),
    *("64:ff9b::1.1.1.1", "2606:4700::1%eth0"),
]
OWN = [
    *("127.0.0.1", "127.8.9.10", "::1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("100.64.0.1", "100.127.255.255", "fc00::1", "fd00:ec2::254", "fec0::1"),
    *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "192.0.2.1", "198.18.0.1"),
]
NEVER = [
    *("169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"),
    *("64:ff9b::169.254.169.254", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"),
    *("240.0.0.1", "2002:7f00:1::", "2001:0:53aa:64c::1", "::10.0.0.1", "", "localhost"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_called(address: str) -> None:
    """Wherever they are."""
    assert refusal(address, allow_private=False) is None


@pytest.mark.parametrize("address", OWN)
def test_our_own_networks_need_permission(address: str) -> None:
    """Also in the disguise of an IPv6 address."""
    assert refusal(address, allow_private=False) is not None
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_called(address: str) -> None:
    """Cloud credentials, whole networks, tunnels, what is no address."""
    assert refusal(address, allow_private=True) is not None
