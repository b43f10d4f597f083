"""The addresses of clients, and the networks that settings and credentials name."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

# An address with zone and port has fewer characters, and no more are remembered of what a proxy passes on.
MAX_LENGTH = 80


def address_of(raw: str) -> str | None:
    """The address in `raw` without port and zone, one of IPv4 within IPv6 as the former; None when there is none."""
    address = _parsed(raw[:MAX_LENGTH])
    return None if address is None else str(address)


def is_within(raw: str | None, networks: Iterable[str]) -> bool:
    """Whether there is an address in `raw`, and one of `networks` holds it. Those have passed `is_network`."""
    address = _parsed((raw or "")[:MAX_LENGTH])
    return address is not None and any(address in _network(network) for network in networks)


def is_network(raw: str) -> bool:
    """Whether `raw` is an address or a CIDR range (`192.0.2.0/24`, `2001:db8::/32`)."""
    try:
        _network(raw)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def _parsed(raw: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(_without_port(raw).partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _without_port(raw: str) -> str:
    """The address in `192.0.2.1:443` and `[2001:db8::1]:443`, as some proxies write it."""
    if raw.startswith("["):
        return raw[1:].partition("]")[0]
    return raw.partition(":")[0] if raw.count(":") == 1 else raw


@lru_cache(maxsize=1024)
def _network(raw: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(raw)
