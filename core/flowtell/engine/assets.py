"""`Asset`: a named piece of data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flowtell.engine.context import current
from flowtell.errors import BadAssetKey

if TYPE_CHECKING:
    from flowtell.engine.lineage import Lineage

_KEY = re.compile(r"[a-z0-9]+://[^\s#?&%\"'<>\[\]{}|\\^`]+")
"""Prefect's rule (src/prefect/assets/core.py), so that keys can be shared with it."""
_LONGEST = 512


class Asset:
    """A piece of data under a URI. Equal to every asset with the same key.

    Args:
        key: `scheme://rest`, such as `s3://lake/orders.parquet`; see `BadAssetKey`.
    """

    __slots__ = ("description", "key", "kind", "metadata", "name", "owners", "tags")

    key: str
    name: str
    kind: str
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    description: str
    metadata: dict[str, Any]

    def __init__(
        self,
        key: str,
        *,
        name: str = "",
        kind: str = "",
        owners: Iterable[str] = (),
        tags: Iterable[str] = (),
        description: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        values = (_checked(key), name, kind, tuple(owners), tuple(tags), description, dict(metadata or {}))
        for slot, value in zip(("key", "name", "kind", "owners", "tags", "description", "metadata"), values, strict=True):
            object.__setattr__(self, slot, value)

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"an Asset does not change; make another one with this {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Asset) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Asset({self.key!r})"

    @property
    def properties(self) -> tuple[Any, ...]:
        """All but the key."""
        return (self.name, self.kind, self.owners, self.tags, self.description, self.metadata)

    def add_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Add facts to the materialization that the task around the caller is making.

        Outside a run it does nothing, so that a function can be tested by its `.fn`.

        Raises:
            ValueError: the task makes another asset.
        """
        run = current.get()
        if run is None:
            return
        lineage: Lineage | None = getattr(run, "lineage", None)
        if lineage is None or self not in lineage.made:
            raise ValueError(f"{run.kind} '{run.work.name}' does not make {self.key}; name it in @materialize")
        lineage.metadata.setdefault(self.key, {}).update(metadata)


def as_asset(given: Asset | str) -> Asset:
    return given if isinstance(given, Asset) else Asset(given)


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise BadAssetKey(
            str(key), "is not a lower-case scheme, '://' and a rest without spaces, quotes, brackets or # ? & %"
        )
    if len(key) > _LONGEST:
        raise BadAssetKey(key[:40] + "…", f"has {len(key)} characters, more than {_LONGEST}")
    return key
