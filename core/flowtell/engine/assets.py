"""`Asset`: a named piece of data, and what a run's body says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flowtell.errors import BadAssetKey

if TYPE_CHECKING:
    from flowtell.engine.columns import ColumnOrigins
    from flowtell.events import UpstreamAsset

_KEY = re.compile(r"[a-z0-9]+://[^\s#?&%\"'<>\[\]{}|\\^`]+")
"""Prefect's rule (src/prefect/assets/core.py), so that keys can be shared with it."""
_LONGEST = 512


class AssetProperties(NamedTuple):
    """What Prefect's scripts say of an asset; `Asset` takes the same by keyword, and more."""

    name: str | None = None
    url: str | None = None
    description: str | None = None
    owners: list[str] | None = None


class Asset:
    """A piece of data under a URI. Equal to every asset with the same key.

    Args:
        key: `scheme://rest`, such as `s3://lake/orders.parquet`; see `BadAssetKey`.
        properties: name, url, description and owners in one; a keyword of its own comes before what it says.
        url: a page about it.
    """

    __slots__ = ("description", "key", "kind", "metadata", "name", "owners", "tags", "url")

    key: str
    name: str
    kind: str
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    description: str
    url: str
    metadata: dict[str, Any]

    def __init__(
        self,
        key: str,
        *,
        properties: AssetProperties | None = None,
        name: str = "",
        kind: str = "",
        owners: Iterable[str] = (),
        tags: Iterable[str] = (),
        description: str = "",
        url: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        given = properties or AssetProperties()
        values: dict[str, Any] = {
            "key": _checked(key),
            "name": name or given.name or "",
            "kind": kind,
            "owners": tuple(owners) or tuple(given.owners or ()),
            "tags": tuple(tags),
            "description": description or given.description or "",
            "url": url or given.url or "",
            "metadata": dict(metadata or {}),
        }
        for slot, value in values.items():
            object.__setattr__(self, slot, value)

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"an Asset does not change; make another one with this {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Asset) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Asset({self.key!r})"

    def __reduce__(self) -> Any:
        return _again, (self.key, *self.described)

    @property
    def properties(self) -> AssetProperties | None:
        """As Prefect's scripts read them; None where nothing was said."""
        if not (self.name or self.url or self.description or self.owners):
            return None
        return AssetProperties(self.name or None, self.url or None, self.description or None, list(self.owners) or None)

    @property
    def described(self) -> tuple[Any, ...]:
        """All but the key."""
        return (self.name, self.kind, self.owners, self.tags, self.description, self.url, self.metadata)

    def add_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Add facts to the materialization that the task around the caller is making.

        Raises:
            ValueError: the task makes another asset.
            MetadataOutsideTask: no task is around the caller. A RuntimeError, as in Prefect.
        """
        from flowtell.engine.asset_statements import add_metadata

        add_metadata(self, metadata)

    def materialize(
        self,
        *,
        rows: int | None = None,
        bytes: int | None = None,
        version: str = "",
        partition: str = "",
        metadata: Mapping[str, Any] | None = None,
        upstream: Iterable[Asset | str | UpstreamAsset] = (),
        columns: ColumnOrigins | None = None,
        sql: str = "",
    ) -> None:
        """Say that the run around the caller has made this asset; outside a run nothing is said.

        Of an asset that the task makes anyway these are the facts of its materialization, which is told once the run has
        completed; of any other it is told now. Each partition is a materialization of its own.

        Args:
            upstream: what it was made of; without it, what came into the task and what it has read.
            columns: by column, the (asset, column) pairs that it was made of.
            sql: the statement that made it; columns are read from it, see `flowtell_lineage.sql_columns`.
        """
        from flowtell.engine.asset_statements import materialize

        said = {"rows": rows, "bytes": bytes, "version": version, "partition": partition, "sql": sql}
        materialize(self, said, metadata or {}, upstream, columns or {})

    def observe(
        self,
        role: str = "read",
        *,
        rows: int | None = None,
        bytes: int | None = None,
        version: str = "",
        partition: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Say that the run around the caller has read this asset, or with `role="output"` has looked at what is there.

        What it makes after a read has this asset upstream, by the evidence `read`. Outside a run nothing is said.

        Raises:
            ValueError: another role.
        """
        from flowtell.engine.asset_statements import observe

        said = {"rows": rows, "bytes": bytes, "version": version, "partition": partition}
        observe(self, role, said, metadata or {})

    def check(
        self,
        name: str,
        passed: bool,
        *,
        severity: str = "error",
        value: Any = None,
        column: str = "",
        partition: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """State the result of a check of this asset's data as a fact, and return it; nothing is raised for a failed one.

        Args:
            passed: anything with a truth.
            severity: `error` or `warn`, of a failure.
            value: what was found, such as a count; taken out for effect plugins as all that users pass.

        Raises:
            ValueError: another severity.
        """
        from flowtell.engine.asset_statements import check

        said = {"check": str(name), "severity": severity, "value": value, "column": column, "partition": partition}
        return check(self, passed, said, metadata or {})


def as_asset(given: Asset | str) -> Asset:
    return given if isinstance(given, Asset) else Asset(given)


def is_key(text: object) -> bool:
    """Whether it can only be meant as an asset's key, valid or not: a name has no `://`."""
    return isinstance(text, Asset) or (isinstance(text, str) and "://" in text)


def _again(key: str, *described: Any) -> Asset:
    names = ("name", "kind", "owners", "tags", "description", "url", "metadata")
    return Asset(key, **dict(zip(names, described, strict=True)))


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise BadAssetKey(
            str(key), "is not a lower-case scheme, '://' and a rest without spaces, quotes, brackets or # ? & %"
        )
    if len(key) > _LONGEST:
        raise BadAssetKey(key[:40] + "…", f"has {len(key)} characters, more than {_LONGEST}")
    return key
