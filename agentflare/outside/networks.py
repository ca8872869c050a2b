"""Which addresses may be reached: the public internet's, and those the operator has named.

A host's name says nothing: it may lead to our own machines, to the metadata service of the
cloud we run in, or to a customer's neighbour. What is decided upon is the address itself.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]

# IANA's registry of special addresses, read 2026-11; `is_global` of older Pythons has holes.
_SPECIAL_IPV4 = [
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        # Public by its number, but answered by the host of every machine in Azure.
        "168.63.129.16/32",
    )
]
# Of IPv6 only what is given out as global unicast, without its special parts: Teredo and
# others (2001::/23), documentation, 6to4.
_GLOBAL_IPV6 = IPv6Network("2000::/3")
_SPECIAL_IPV6 = [
    ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]
# The way to IPv4 where there is IPv6 alone (NAT64): as good as the address inside.
_NAT64 = IPv6Network("64:ff9b::/96")


def parse(text: str) -> Address:
    """Raises ValueError."""
    return ip_address(text)


def may_reach(address: Address, *, allowed: Networks = ()) -> bool:
    return _is_public(address) or is_allowed(address, allowed)


def is_allowed(address: Address, allowed: Networks) -> bool:
    """Whether the operator has named its network, public or not."""
    inner = _inner(address)
    return any(inner in network for network in allowed)


def _is_public(address: Address) -> bool:
    inner = _inner(address)
    if isinstance(inner, IPv4Address):
        return inner.is_global and not any(inner in network for network in _SPECIAL_IPV4)
    return (
        inner.is_global
        and inner in _GLOBAL_IPV6
        and not any(inner in network for network in _SPECIAL_IPV6)
    )


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where packets go to it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
