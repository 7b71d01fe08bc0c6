"""Which span made an asset last: what whoever reads it is linked to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from sqlalchemy import select

from flowtell_exporters.otel.spans import Link
from flowtell_exporters.otel.tables import makers

_MOST: Final = 20_000
"""Assets in memory; others are read back."""


class Makers:
    """Latest by the writers' clocks. Taking an event twice changes nothing."""

    def __init__(self, read: Callable[[Any], Iterable[Any]]) -> None:
        self._read = read
        self._known: dict[str, tuple[int, str, str]] = {}
        self._reads: dict[str, dict[str, Link]] = {}

    def made(self, asset: str, time: int, trace: str, span: str) -> dict[str, Any] | None:
        """`span` made the asset. The row to keep, if no later one did."""
        if self._of(asset)[0] > time:
            return None
        self._remember(asset, (time, trace, span))
        return {"asset": asset, "time": time, "trace": trace, "span": span}

    def read(self, run: str, assets: Iterable[str], trace: str) -> None:
        """A run reads these: it is linked to who made them, where that was in another trace."""
        for asset in assets:
            _, origin, span = self._of(asset)
            if origin and origin != trace:
                self._reads.setdefault(run, {}).setdefault(asset, Link(origin, span, {"flowtell.asset": asset}))

    def links(self, run: str) -> list[Link]:
        return list(self._reads.get(run, {}).values())

    def ended(self, run: str) -> None:
        self._reads.pop(run, None)

    def _of(self, asset: str) -> tuple[int, str, str]:
        found = self._known.get(asset)
        if found is None:
            rows = list(self._read(select(makers).where(makers.c.asset == asset)))
            found = (rows[0].time, rows[0].trace, rows[0].span) if rows else (0, "", "")
            self._remember(asset, found)
        return found

    def _remember(self, asset: str, maker: tuple[int, str, str]) -> None:
        if len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
        self._known[asset] = maker
