"""Which addresses are the public internet's."""

from ipaddress import ip_network

import pytest

from agentflare.outside.networks import may_reach, parse

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.254 100.100.100.200 127.0.0.1
127.255.255.254 169.254.169.254 169.254.0.1 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192
192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.0.0.1
::ffff:0:8.8.8.8 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::8.8.8.8 100::1
2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:10::1 2001:20::1 2001:db8::1
2002:7f00:1::1 2002:808:808::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1
fe80::1 fec0::1 ff02::1 ff0e::1 4000::1 e000::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 169.253.1.1
192.167.1.1 223.255.255.255 2606:4700:4700::1111 2001:4860:4860::8888 2a00:1450:4001:81b::200e
::ffff:8.8.8.8 64:ff9b::8.8.8.8
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_these_are_not_public(address: str) -> None:
    assert not may_reach(parse(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_these_are_public(address: str) -> None:
    assert may_reach(parse(address))


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::5"])
def test_the_operator_may_allow_more(address: str) -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]

    assert may_reach(parse(address), allowed=allowed)
    assert not may_reach(parse("10.2.0.1"), allowed=allowed)
    assert not may_reach(parse("127.0.0.1"), allowed=allowed)
