"""The lineage plugin: a projection of asset events into the asset graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Table, and_, bindparam, delete, insert, not_, select, update

from flowtell.errors import BadValue, UnknownKey
from flowtell.events import Event
from flowtell.plugin import BasePlugin, Context
from flowtell_lineage.graph import ASSET_EVENTS, AssetRow, EdgeRow, Graph
from flowtell_lineage.tables import assets, edges, materializations, metadata

_DAY: Final = 86_400_000_000
_KEYS_A_QUERY: Final = 500
_PRUNE_SECONDS: Final = 600.0


def create(config: Mapping[str, Any]) -> Lineage:
    """The factory that the entry point `lineage` names. `keep_days` says how long outcomes are kept; the graph stays."""
    for key in config:
        if key != "keep_days":
            raise UnknownKey(key, "[plugin.lineage]", "keep_days")
    try:
        return Lineage(msgspec.convert(config.get("keep_days", 365.0), float, strict=False))
    except msgspec.ValidationError as error:
        raise BadValue("keep_days", "[plugin.lineage]", str(error)) from error


class Lineage(BasePlugin):
    """Reads the part of the graph that a batch touches, folds the batch into it, writes that part back."""

    wants = tuple(kind.type for kind in ASSET_EVENTS)
    tables = metadata
    tick_seconds = _PRUNE_SECONDS

    def __init__(self, keep_days: float = 365.0) -> None:
        self._keep = int(keep_days * _DAY)

    def handle(self, events: Sequence[Event]) -> None:
        named: list[Any] = [event for event in events if getattr(event, "asset", "")]
        graph = self._touched_by(named)
        known = {*graph.assets, *graph.edges}
        for event in named:
            graph.take(event)
        _save(self.context, _ASSETS, graph.assets, known)
        _save(self.context, _EDGES, graph.edges, known)
        if graph.outcomes:
            self.context.write(_insert_outcome, graph.outcomes)

    def tick(self, now: int) -> None:
        """Forget old outcomes, but not an asset's latest."""
        if self._keep:
            self.context.write(_forget, [{"before": now - self._keep}])

    def _touched_by(self, events: Iterable[Any]) -> Graph:
        """What the tables hold of all that the events name."""
        made = {event.asset for event in events}
        named = made.union(up.asset for event in events for up in getattr(event, "upstream", ()))
        found = [AssetRow(**row._mapping) for row in self._rows(assets, named)]
        return Graph(found, [EdgeRow(**row._mapping) for row in self._rows(edges, made)])

    def _rows(self, table: Table, keys: Iterable[str]) -> Iterator[Any]:
        """Rows by the first column of their key."""
        first, wanted = next(iter(table.primary_key)), sorted(keys)
        for start in range(0, len(wanted), _KEYS_A_QUERY):
            yield from self.context.read(select(table).where(first.in_(wanted[start : start + _KEYS_A_QUERY])))


class _Kept:
    """The statements that keep a table's rows, built once."""

    def __init__(self, table: Table) -> None:
        self.keys = [column.name for column in table.primary_key]
        self.insert = insert(table)
        self.update = update(table).where(and_(*(table.c[name] == bindparam(f"key_{name}") for name in self.keys)))

    def changed(self, row: dict[str, Any]) -> dict[str, Any]:
        return {f"key_{name}" if name in self.keys else name: value for name, value in row.items()}


def _save(context: Context, kept: _Kept, rows: Mapping[Any, Any], known: set[Any]) -> None:
    new = [msgspec.structs.asdict(row) for key, row in rows.items() if key not in known]
    changed = [kept.changed(msgspec.structs.asdict(row)) for key, row in rows.items() if key in known]
    if new:
        context.write(kept.insert, new)
    if changed:
        context.write(kept.update, changed)


_ASSETS: Final = _Kept(assets)
_EDGES: Final = _Kept(edges)
_insert_outcome: Final = insert(materializations)
_latest: Final = select(assets.c.outcome).union(select(assets.c.materialization))
_forget: Final = delete(materializations).where(
    and_(materializations.c.time < bindparam("before"), not_(materializations.c.id.in_(_latest)))
)
