"""The catalogue of assets: a page of them at a time, and which are older than what they are made of.

Each function takes a `read` that runs one SELECT. Answers are frozen structs and bounded; moments are µs since the epoch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, and_, false, func, select

from flowtell.decoders import decoder
from flowtell.events import encode_value
from flowtell_lineage.identity import number
from flowtell_lineage.numbers import PART, among
from flowtell_lineage.reading import Asset, Read, get_asset, has_run, is_there, with_outcomes
from flowtell_lineage.tables import aliases, assets, checks, edges
from flowtell_lineage.walk import Walk

Only = Literal["", "stale", "failed", "unmade"]
"""`stale`: something it is made of was made since. `failed`: the latest attempt ended badly. `unmade`: never made here."""

PAGE: Final = 200
"""Assets of one page."""
CHECKS: Final = 500
"""Checks of one asset that are told."""

_WELL: Final = ("", "materialized", "cached")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An asset as the catalogue lists it."""

    asset: Asset
    stale_since: int | None = None
    """When something that it is made of was first made anew; None where it is as new as all of that."""
    failing: int = 0
    """Checks whose last result was bad."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """How a check of an asset came out last."""

    check: str
    time: int
    passed: bool
    column: str = ""
    partition: str = ""
    severity: str = ""
    value: Any = None
    run: str = ""


def catalogue(
    read: Read, *, text: str = "", owner: str = "", only: Only = "", after: str = "", limit: int = PAGE
) -> list[Entry]:
    """Assets by key, from the one that comes after `after`.

    Args:
        text: part of the key or of the name.
        owner: one of its owners, to the letter.
    """
    if not has_run(read):
        return []
    told = assets.c
    wanted = select(assets).where(is_there(), told.asset > after, *_named(text, owner), *_which(only))
    found = with_outcomes(read, read(wanted.order_by(told.asset).limit(limit)))
    return _entries(read, found)


def get_entry(read: Read, asset: str) -> Entry:
    """The asset with this key or alias, as the catalogue lists it.

    Raises:
        AssetNotFound: there is none.
    """
    return _entries(read, [get_asset(read, asset)])[0]


def count_stale(read: Read, most: int) -> int:
    """How many are older than what they are made of; `most` + 1 for more than that. Walks every edge."""
    some = select(_outdated().subquery().c.id).limit(most + 1).subquery()
    return int(read(select(func.count()).select_from(some))[0][0]) if has_run(read) else 0


def stale_since(read: Read, keys: Collection[str]) -> dict[str, int]:
    """Of the assets with these keys, those that are stale, and since when."""
    walk = Walk(read)
    known = {walk.id_of(key): key for key in keys}
    members = {member for one in known for member in walk.members(one)}
    wanted = _outdated().where(among(edges.c.downstream)).params({PART: sorted(members)})
    rows = read(wanted) if members else ()
    return {known[row.id]: row.since for row in rows if row.id in known}


def checks_of(read: Read, asset: str) -> list[Check]:
    """How each of the asset's checks came out last; those that did not pass first.

    Raises:
        AssetNotFound: there is no such asset.
    """
    walk = Walk(read)
    ids = walk.members(walk.id_of(get_asset(read, asset).asset))
    wanted = select(checks).where(checks.c.asset.in_(ids)).order_by(checks.c.passed, checks.c.check, checks.c.column)
    return [_check(row) for row in read(wanted.limit(CHECKS))]


def _entries(read: Read, found: list[Asset]) -> list[Entry]:
    keys = [one.asset for one in found]
    since, failing = stale_since(read, keys), failing_checks(read, keys)
    return [Entry(asset=one, stale_since=since.get(one.asset), failing=failing.get(one.asset, 0)) for one in found]


def _named(text: str, owner: str) -> list[ColumnElement[bool]]:
    parts: list[ColumnElement[bool]] = []
    if text:
        parts.append(assets.c.asset.icontains(text, autoescape=True) | assets.c.name.icontains(text, autoescape=True))
    if owner:
        parts.append(assets.c.owners.contains(encode_value(owner).decode(), autoescape=True))
    return parts


def _which(only: Only) -> list[ColumnElement[bool]]:
    if only == "stale":
        return [assets.c.id.in_(select(_outdated().subquery().c.id))]
    if only == "failed":
        return [assets.c.state.not_in(_WELL)]
    return [assets.c.materialized == 0] if only == "unmade" else []


def _outdated() -> Select[Any]:
    """Number of each asset that is older than an upstream, and when the first of those was made.

    As `questions.staleness` finds its cause `data`, for many assets at once.
    """
    up, down = assets.alias(), assets.alias()
    of_up, of_down = aliases.alias(), aliases.alias()
    joined = (
        edges.outerjoin(of_up, of_up.c.alias == edges.c.upstream)
        .outerjoin(of_down, of_down.c.alias == edges.c.downstream)
        .join(up, up.c.id == func.coalesce(of_up.c.asset, edges.c.upstream))
        .join(down, down.c.id == func.coalesce(of_down.c.asset, edges.c.downstream))
    )
    known = and_(edges.c.last_seen > up.c.removed, edges.c.last_seen > down.c.removed, down.c.removed < down.c.last_seen)
    older = and_(down.c.materialized > 0, up.c.materialized > down.c.materialized)
    since = func.min(up.c.materialized).label("since")
    return select(down.c.id, since).select_from(joined).where(known, older).group_by(down.c.id)


def failing_checks(read: Read, keys: Collection[str]) -> dict[str, int]:
    """How many checks of each asset came out badly last."""
    known = {number(key): key for key in keys}
    bad = among(checks.c.asset), checks.c.passed == false()
    wanted = select(checks.c.asset, func.count().label("bad")).where(*bad).group_by(checks.c.asset)
    return {known[row.asset]: row.bad for row in read(wanted.params({PART: sorted(known)}))} if known else {}


def _check(row: Any) -> Check:
    told = {name: row._mapping[name] for name in Check.__struct_fields__ if name != "value"}
    return Check(**told, value=decoder(Any)(row.value))


__all__ = [
    "PAGE",
    "Check",
    "Entry",
    "Only",
    "catalogue",
    "checks_of",
    "count_stale",
    "failing_checks",
    "get_entry",
    "stale_since",
]
