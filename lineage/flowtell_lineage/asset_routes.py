"""The plugin `assets`: serves `/api/assets` and `/api/lineage`, what the commands ask of the graph, as JSON.

Apart from the plugin that keeps the graph, which may so run in a process of its own. It keeps nothing; it reads that one's
tables. An asset's key is one part of a path, its slashes escaped: `/api/assets/s3%3A%2F%2Flake%2Forders/upstream`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from flowtell.errors import UnknownKey
from flowtell.events import Event
from flowtell.moments import moment
from flowtell.plugin import BasePlugin, Context
from flowtell_lineage import questions, reading
from flowtell_lineage.questions import Related
from flowtell_lineage.reading import Read, View, get_asset
from flowtell_lineage.requests import LARGEST_PAGE, Asked, BadQuery, Endpoint, Routes

ASSETS: Final = "/api/assets"
LINEAGE: Final = "/api/lineage"

_FARTHEST: Final = 1_000_000
_MOST_DRAWN: Final = 1_000
_PAGE: Final = 100
_MICROSECONDS: Final = 12
"""Digits from which on a number is a moment in µs; fewer are a date without dashes."""


def create(settings: Mapping[str, Any]) -> AssetPages:
    """The factory that the entry point names.

    Raises:
        UnknownKey: any key: it has no settings.
    """
    for key in settings:
        raise UnknownKey(key, "[plugin.assets]")
    return AssetPages()


class AssetPages(BasePlugin):
    """Opened for its routes alone."""

    wants = ("asset.removed",)  # a plugin that names no type gets all of them
    tick_seconds = 60.0

    def open(self, context: Context) -> None:
        super().open(context)
        endpoints = AssetEndpoints(context.read, context.clock)
        missing = "nothing of that name is served here; a key in a path has its slashes escaped: s3%3A%2F%2Flake%2Forders"
        for prefix, table in ((ASSETS, endpoints.of_assets()), (LINEAGE, endpoints.of_lineage())):
            context.mount(prefix, Routes(prefix, [("GET", path, endpoint) for path, endpoint in table], missing))

    def handle(self, events: Sequence[Event]) -> None:
        """Nothing is kept."""


class AssetEndpoints:
    """What is answered. Lists are paged: `limit`, and `offset` or, where a list may change meanwhile, `after`."""

    def __init__(self, read: Read, clock: Callable[[], int]) -> None:
        self._read, self._clock = read, clock

    def of_assets(self) -> list[tuple[str, Endpoint]]:
        return [
            ("", self.assets),
            ("{}", self.asset),
            ("{}/upstream", self.upstream),
            ("{}/downstream", self.downstream),
            ("{}/impact", self.downstream),
            ("{}/history", self.history),
            ("{}/columns", self.columns),
            ("{}/staleness", self.staleness),
            ("{}/neighbourhood", self.neighbourhood),
        ]

    def of_lineage(self) -> list[tuple[str, Endpoint]]:
        return [("path", self.path), ("explain", self.explain), ("diff", self.diff)]

    # --- assets -------------------------------------------------------------------------------------------------------

    def assets(self, asked: Asked) -> Any:
        """By key; `next` is the `after` of the page that follows."""
        limit = _limit(asked)
        found = reading.assets(self._read, text=asked.text("text"), after=asked.text("after"), limit=limit)
        return {"assets": found, "next": found[-1].asset if len(found) == limit else None}

    def asset(self, asked: Asked) -> Any:
        return get_asset(self._read, asked.names[0], self._view(asked))

    def upstream(self, asked: Asked) -> Any:
        return _paged(asked, questions.upstream(self._read, asked.names[0], steps=_steps(asked), view=self._view(asked)))

    def downstream(self, asked: Asked) -> Any:
        return _paged(asked, questions.downstream(self._read, asked.names[0], steps=_steps(asked), view=self._view(asked)))

    def history(self, asked: Asked) -> Any:
        """How attempts to make it ended, the latest first; `next` is the `after` of the page that follows."""
        asset, limit = get_asset(self._read, asked.names[0]).asset, _limit(asked)
        found = reading.materializations(self._read, asset, after=asked.text("after"), limit=limit)
        return {"asset": asset, "history": found, "next": found[-1].id if len(found) == limit else None}

    def columns(self, asked: Asked) -> Any:
        """From which columns of others its own are made."""
        view = self._view(asked)
        asset = get_asset(self._read, asked.names[0], view).asset
        found = questions.columns_of(self._read, asset, asked.text("column"), view=view)
        return {"asset": asset, "total": len(found), "columns": asked.page(found)}

    def staleness(self, asked: Asked) -> Any:
        return questions.staleness(self._read, asked.names[0], code=asked.text("code"), view=self._view(asked))

    def neighbourhood(self, asked: Asked) -> Any:
        up, down = (asked.number(way, 1, _FARTHEST) for way in ("up", "down"))
        most = max(1, asked.number("limit", 200, _MOST_DRAWN))
        return reading.neighbourhood(self._read, asked.names[0], up, down, limit=most, view=self._view(asked))

    # --- between assets -----------------------------------------------------------------------------------------------

    def path(self, asked: Asked) -> Any:
        """Keys of a shortest way downstream; an empty list where there is none."""
        start, end = _ends(asked)
        return {"from": start, "to": end, "path": questions.path(self._read, start, end, view=self._view(asked))}

    def explain(self, asked: Asked) -> Any:
        return questions.explain(self._read, *_ends(asked), view=self._view(asked))

    def diff(self, asked: Asked) -> Any:
        before, after = (self._moment(asked, name) for name in ("before", "after"))
        if before is None:
            raise BadQuery("before is the earlier moment, such as 2026-11-20 or 7d")
        return questions.diff(self._read, before, after)

    # --- views --------------------------------------------------------------------------------------------------------

    def _view(self, asked: Asked) -> View:
        mode = asked.text("mode", "union")
        if mode not in ("union", "latest"):
            raise BadQuery("mode is union or latest")
        return View(as_of=self._moment(asked, "as_of"), mode="latest" if mode == "latest" else "union")

    def _moment(self, asked: Asked, name: str) -> int | None:
        """In µs, or as the commands take it."""
        given = asked.text(name)
        if given.isascii() and given.isdigit() and _MICROSECONDS <= len(given) <= 18:
            return int(given)
        return moment(given, self._clock()) if given else None


def _limit(asked: Asked) -> int:
    return max(1, asked.number("limit", _PAGE, LARGEST_PAGE))


def _steps(asked: Asked) -> int | None:
    return asked.number("steps", 0, _FARTHEST) if asked.text("steps") else None


def _ends(asked: Asked) -> tuple[str, str]:
    start, end = asked.text("from"), asked.text("to")
    if not start or not end:
        raise BadQuery("from and to are keys of assets")
    return start, end


def _paged(asked: Asked, found: Sequence[Related]) -> dict[str, Any]:
    """One page, and how many there are."""
    return {"asset": asked.names[0], "total": len(found), "assets": asked.page(found)}


__all__ = ["ASSETS", "LINEAGE", "AssetEndpoints", "AssetPages", "create"]
