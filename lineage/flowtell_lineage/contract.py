"""What lineage must hold, as a TOML file that CI checks.

```toml
required = [["s3://lake/raw", "s3://lake/report"]]
forbidden = [["postgres://crm/public/people", "s3://public/*"]]

[columns]
"s3://lake/report" = ["day", "revenue"]
```

A pair holds the start and the end of a path of any length; `*` stands for any text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from flowtell.decoders import convert
from flowtell_lineage.errors import AssetNotFound, BadContract
from flowtell_lineage.identity import number
from flowtell_lineage.questions import Answer, distances, path
from flowtell_lineage.reading import LARGEST, NOW, Read, View, Walk, assets, get_asset, keys_of


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths that must and must not be, and columns that the data made last must have."""

    required: tuple[tuple[str, str], ...] = ()
    forbidden: tuple[tuple[str, str], ...] = ()
    columns: dict[str, tuple[str, ...]] = {}


class Breach(Answer, frozen=True):
    """One way in which the graph breaks the contract."""

    kind: str
    """`missing path`, `forbidden path`, `lost column`, `unknown asset`."""
    what: str
    path: tuple[str, ...] = ()


def read_contract(file: Path) -> Contract:
    """The contract in a file.

    Raises:
        BadContract: it is not there, no TOML, or says something else.
    """
    try:
        return convert(tomllib.loads(file.read_text(encoding="utf-8")), Contract)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadContract(str(file), str(error)) from error


def breaches(read: Read, contract: Contract, view: View = NOW) -> Iterator[Breach]:
    """Every way in which the graph breaks the contract, in the file's order."""
    for start, end in contract.required:
        yield from _missing(read, start, end, view)
    for start, end in contract.forbidden:
        yield from _forbidden(read, start, end, view)
    for asset, columns in contract.columns.items():
        yield from _lost(read, asset, columns, view)


def _missing(read: Read, start: str, end: str, view: View) -> Iterator[Breach]:
    if not any(_paths(read, start, end, view)):
        yield Breach(kind="missing path", what=f"{start} -> {end}")


def _forbidden(read: Read, start: str, end: str, view: View) -> Iterator[Breach]:
    for way in _paths(read, start, end, view):
        yield Breach(kind="forbidden path", what=f"{way[0]} -> {way[-1]}", path=way)


def _paths(read: Read, start: str, end: str, view: View) -> Iterator[tuple[str, ...]]:
    """A shortest path for each pair of assets that the patterns name and that has one."""
    for above in _matching(read, start, view):
        walk = Walk(read, view)
        below = keys_of(read, distances(walk, walk.id_of(above), "down"))
        for key in sorted(below.values()):
            if fnmatchcase(key, end) or number(end) in walk.members(number(key)):
                yield path(read, above, key, view=view)


def _matching(read: Read, pattern: str, view: View) -> Iterator[str]:
    if "*" in pattern:
        literal = max(pattern.split("*"), key=len)
        found = (asset.asset for asset in assets(read, text=literal, limit=LARGEST))
        yield from (key for key in found if fnmatchcase(key, pattern))
        return
    try:
        yield get_asset(read, pattern, view).asset
    except AssetNotFound:
        return


def _lost(read: Read, key: str, columns: tuple[str, ...], view: View) -> Iterator[Breach]:
    try:
        asset = get_asset(read, key, view)
    except AssetNotFound:
        yield Breach(kind="unknown asset", what=key)
        return
    has = {column.name for column in asset.made.columns} if asset.made else set()
    for column in columns:
        if column not in has:
            yield Breach(kind="lost column", what=f"{key} {column}")


__all__ = ["Breach", "Contract", "breaches", "read_contract"]
