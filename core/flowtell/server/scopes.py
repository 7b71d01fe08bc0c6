"""Which scope a request needs: one table, whose default for what it does not know is the careful one."""

from __future__ import annotations

from typing import Final

READ, INGEST, OPERATE, ADMIN = "read", "ingest", "operate", "admin"

_OPEN: Final = frozenset({"/healthz", "/readyz"})
_SIGNED: Final = "/api/signed"
"""What is sent here is signed, and whoever serves it checks the signature: a vendor cannot be given a token of ours."""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_JOURNALS: Final = "/api/journal"
"""Also what a shipper reads there: how far its journal has got is asked by who may add to it."""
_PINGS: Final = "/api/ping"
"""Whatever the method: who may check in is told that it is POST."""
_LIMITS: Final = "/api/limits/ask"
"""What a flow's process needs beside bringing its events in."""
_ANSWERS: Final = "/api/answers/ask"
"""Likewise: what a paused run was answered, by who knows the run's id."""
_WANTS: Final = "/api/wants/ask"
"""Likewise: which runs are wanted of a deployment, by who serves it."""
_LINEAGE: Final = ("/api/v1/lineage", "/openapi/openlineage/api/v1/lineage")
"""Where OpenLineage's clients send, and whoever speaks as DataHub does."""
_INGEST: Final = ("/api/events", *_LINEAGE, _LIMITS, _ANSWERS, _WANTS)
_PAGES: Final = ("/_dash",)
"""Dash fills a page by POST; a callback that changes something asks for more itself (`scope["flowtell.scopes"]`)."""

_IMPLIED: Final = {
    READ: frozenset({READ}),
    INGEST: frozenset({INGEST}),
    OPERATE: frozenset({OPERATE, READ}),
    ADMIN: frozenset({ADMIN, OPERATE, INGEST, READ}),
}
EVERYTHING: Final = _IMPLIED[ADMIN]


def comes_again_after_503(path: str) -> bool:
    """Whether clients of this path take 503 for "later" and 429 for "no", as OpenLineage's do (its transport/http.py)."""
    return any(_below(path, prefix) for prefix in _LINEAGE)


def granted(scopes: tuple[str, ...]) -> frozenset[str]:
    """These and what they imply. One that is not known here, of a later release, grants nothing."""
    return frozenset().union(*(_IMPLIED.get(scope, frozenset()) for scope in scopes))


def is_open(method: str, path: str, *, websocket: bool = False) -> bool:
    """Whether nobody is asked for a token: the two health paths, read, and what is sent under `/api/signed`.

    Anything else on the health paths would reach a plugin.
    """
    if websocket:
        return False
    return (path in _OPEN and method in ("GET", "HEAD")) or (method == "POST" and path.startswith(f"{_SIGNED}/"))


def is_safe(method: str) -> bool:
    """Whether a method changes nothing (RFC 9110, section 9.2.1)."""
    return method in _SAFE_METHODS


def needed_scope(method: str, path: str, *, websocket: bool = False) -> str:
    """The scope that a request needs.

    Args:
        path: as the routes will match it, decoded once.
    """
    if _below(path, _JOURNALS) or _below(path, _PINGS):
        return INGEST
    if websocket or is_safe(method):
        return READ
    if method == "POST" and any(_below(path, prefix) for prefix in _INGEST):
        return INGEST
    if method == "POST" and path.startswith(_PAGES):
        return READ
    return OPERATE


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
