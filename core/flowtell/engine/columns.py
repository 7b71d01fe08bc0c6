"""Column lineage as users write it: by column of what is made, the columns of other assets that it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flowtell.engine.assets import Asset, as_asset, is_key
from flowtell.errors import BadColumns
from flowtell.events import Column, ColumnSource

if TYPE_CHECKING:
    from collections.abc import Sequence

ColumnOrigins = Mapping[str, Iterable["tuple[Asset | str, str] | tuple[Asset | str, str, str]"]]
"""By column, its (asset, column) or (asset, column, transformation)."""


def columns_of(given: ColumnOrigins) -> tuple[Column, ...]:
    """As events carry them.

    Raises:
        BadColumns: an origin is no pair of an asset and a column.
    """
    return tuple(Column(name=str(name), origins=_origins(str(name), origins)) for name, origins in given.items())


def columns_by_asset(given: Mapping[Any, Any], made: Sequence[Asset]) -> dict[str, tuple[Column, ...]]:
    """By key of what is made: what `@materialize` was told, of its one asset or by asset.

    Raises:
        BadColumns: of several assets it is not said which one has the column, or one is not made by the task.
    """
    if not given:
        return {}
    if not all(is_key(name) for name in given):
        if len(made) != 1:
            raise BadColumns("the task makes several assets: say columns={asset: {column: [(asset, column)]}}")
        return {made[0].key: columns_of(given)}
    by_asset = {as_asset(one): origins for one, origins in given.items()}
    for asset in by_asset:
        if asset not in made:
            raise BadColumns(f"the task does not make {asset.key}")
    return {asset.key: columns_of(origins) for asset, origins in by_asset.items()}


def joined(read: tuple[Column, ...], said: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns read from a value, with the origins that were said; those that were only said come last."""
    origins = {column.name: column for column in said}
    known = [
        Column(name=one.name, type=one.type, origins=origins.pop(one.name).origins) if one.name in origins else one
        for one in read
    ]
    return (*known, *origins.values())


def _origins(name: str, given: Any) -> tuple[ColumnSource, ...]:
    found = []
    for origin in given:
        if not isinstance(origin, tuple | list) or len(origin) not in (2, 3):
            raise BadColumns(f"{name!r} comes from {origin!r:.100}, which is no (asset, column)")
        asset, column, *transformation = origin
        found.append(ColumnSource(asset=as_asset(asset).key, column=str(column), transformation=str(*transformation)))
    return tuple(found)
