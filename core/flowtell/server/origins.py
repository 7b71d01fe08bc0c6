"""Who asks, as far as a browser tells: the `Host` that it was sent to, and the `Origin` of the page that sends it.

A browser lets any page open websockets and post forms to any address, cookies included, and a name that somebody made
point to 127.0.0.1 makes a stranger's page one of the server's own (DNS rebinding).
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
_PORTS: Final = {"http": 80, "https": 443}


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether an address to listen on, or a name without a port, is one that only this machine reaches."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def known_host(host: str, allowed: frozenset[str]) -> bool:
    """Whether a `Host` header names this machine's loopback or one of the allowed names."""
    name = name_of(host)
    return is_loopback(name) or name in allowed


def name_of(host: str) -> str:
    """A `Host` header without its port, in lower case, as a name is compared."""
    head, colon, port = host.rpartition(":")
    name = head if colon and port.isascii() and port.isdigit() else host
    return name.lower().rstrip(".")


def loopback_origin(origin: str) -> bool:
    """Whether a page of this machine asks."""
    return is_loopback(_split(origin)[0])


def same_origin(origin: str, host: str, allowed: frozenset[str]) -> bool:
    """Whether the page is the server's own: its origin is what the request was sent to, or an allowed name.

    The scheme is not compared, as it is the proxy's in front; a port left out is the scheme's own.
    """
    name, port, scheme = _split(origin)
    if not name:
        return False
    there = urlsplit(f"{scheme}://{host}")
    try:
        return name in allowed or (name, port) == ((there.hostname or "").rstrip("."), there.port or _PORTS.get(scheme))
    except ValueError:  # a port that is none
        return False


def _split(origin: str) -> tuple[str, int | None, str]:
    """Host, port and scheme; an empty host for `null` and for what is no address at all."""
    try:
        parts = urlsplit(origin)
        return (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme), parts.scheme
    except ValueError:
        return "", None, ""
