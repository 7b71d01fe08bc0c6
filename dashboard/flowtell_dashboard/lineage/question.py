"""What the addresses of the pages about assets say: which assets are listed, and which one is looked at how far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec

Only = Literal["", "stale", "failed", "unmade"]
Way = Literal["up", "down"]

ONLY: Final[dict[str, Only]] = {"stale": "stale", "failed": "failed", "unmade": "unmade"}
"""What `only` may be in the URL."""

LONGEST: Final = 2_000
"""Characters of one value in the URL; what is longer was not made by these pages."""
_FIELDS: Final = 250


class AssetFilter(msgspec.Struct, frozen=True):
    """The filters of the catalogue. An empty one lets every asset through."""

    text: str = ""
    owner: str = ""
    only: Only = ""
    after: str = ""
    """The key of the last asset of the page before this one."""

    @classmethod
    def of(cls, search: str | None) -> AssetFilter:
        """What the part of a URL after `?` says; what makes no sense there counts as not said."""
        given = dict(_said(search))
        only = ONLY.get(given.get("only", ""), "")
        return cls(given.get("text", ""), given.get("owner", ""), only, given.get("after", ""))

    @property
    def narrows(self) -> bool:
        return bool(self.text or self.owner or self.only)

    def link(self, **changes: str) -> str:
        """The address of the catalogue with these filters, and changed ones."""
        said = {name: value for name, value in (msgspec.structs.asdict(self) | changes).items() if value}
        return f"/assets?{urlencode(said)}" if said else "/assets"


class AssetView(msgspec.Struct, frozen=True):
    """One asset, and whose neighbours are in its picture beside its own."""

    key: str = ""
    grown: tuple[tuple[str, Way], ...] = ()

    @classmethod
    def of(cls, search: str | None) -> AssetView:
        said = list(_said(search))
        key = next((value for name, value in said if name == "key"), "")
        grown: list[tuple[str, Way]] = []
        for name, value in said:
            if name == "up":
                grown.append((value, "up"))
            elif name == "down":
                grown.append((value, "down"))
        return cls(key, tuple(dict.fromkeys(grown)))

    def link(self) -> str:
        return "/asset?" + urlencode([("key", self.key), *((way, key) for key, way in self.grown)])

    def grow(self, key: str, way: Way) -> AssetView:
        """The same picture with one asset's neighbours in it."""
        return msgspec.structs.replace(self, grown=(*self.grown, (key, way)))


def address(key: str) -> str:
    """The page of one asset. In the query, as a key may hold anything."""
    return AssetView(key).link()


def _said(search: str | None) -> Iterator[tuple[str, str]]:
    try:
        given = parse_qsl((search or "").removeprefix("?"), max_num_fields=_FIELDS)
    except ValueError:
        return
    yield from ((name, value[:LONGEST]) for name, value in given)
