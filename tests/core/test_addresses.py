"""`tokens.core.addresses`: what is taken for an address, and what lies in a network."""

import pytest

from tokens.core.addresses import address_of, is_network, is_within


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:443", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:443", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:443", "fe80::1"),
        ("", None),
        ("unix:", None),
        ("unknown", None),
        ("192.0.2", None),
        ("192.0.2.1/32", None),
        ("192.0.2.1:443:443", None),
        (" 192.0.2.1", None),
        ("192.0.2.1%" + "z" * 70, "192.0.2.1"),
        ("192.0.2." + "1" * 10_000, None),
    ],
)
def test_takes_for_an_address(raw, expected):
    assert address_of(raw) == expected


@pytest.mark.parametrize(
    ("raw", "networks", "expected"),
    [
        ("192.0.2.255", ["198.51.100.0/24", "192.0.2.0/24"], True),
        ("192.0.3.0", ["198.51.100.0/24", "192.0.2.0/24"], False),
        ("192.0.2.1", ["192.0.2.1"], True),
        ("::ffff:192.0.2.1", ["192.0.2.0/24"], True),
        ("::ffff:192.0.2.1", ["::/0"], False),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("192.0.2.1", [], False),
        ("", ["0.0.0.0/0", "::/0"], False),
        (None, ["0.0.0.0/0", "::/0"], False),
    ],
)
def test_looks_into_networks(raw, networks, expected):
    assert is_within(raw, networks) is expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("192.0.2.1", True),
        ("192.0.2.0/24", True),
        ("2001:db8::/32", True),
        ("192.0.2.1/24", False),
        ("192.0.2.0/33", False),
        ("192.0.2.1:443", False),
        ("", False),
        ("everybody", False),
    ],
)
def test_takes_for_a_network(raw, expected):
    assert is_network(raw) is expected
