"""The lineage plugin: a projection of asset events into the asset graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Delete, Table, and_, bindparam, delete, exists, insert, not_, or_, select, true, update

from flowtell.decoders import convert
from flowtell.errors import BadValue, UnknownKey
from flowtell.events import Event
from flowtell.plugin import BasePlugin, Context
from flowtell_lineage import tables as stored
from flowtell_lineage.graph import (
    ASSET_EVENTS,
    KINDS,
    AliasRow,
    AssetRow,
    CheckRow,
    ColumnRow,
    EdgeRow,
    Graph,
    JobAssetRow,
    JobRow,
    Row,
)
from flowtell_lineage.spelling import in_one_spelling

_DAY: Final = 86_400_000_000
_KEYS_A_QUERY: Final = 500
_PRUNE_SECONDS: Final = 600.0
_OVERLAP: Final = 2 * _DAY


def create(config: Mapping[str, Any]) -> Lineage:
    """The factory that the entry point `lineage` names. `keep_days` says how long outcomes are kept; the graph stays."""
    for key in config:
        if key != "keep_days":
            raise UnknownKey(key, "[plugin.lineage]", "keep_days")
    try:
        return Lineage(convert(config.get("keep_days", 365.0), float, strict=False))
    except msgspec.ValidationError as error:
        raise BadValue("keep_days", "[plugin.lineage]", str(error)) from error


class Lineage(BasePlugin):
    """Reads the part of the graph that a batch touches, folds the batch into it, writes that part back."""

    wants = tuple(kind.type for kind in ASSET_EVENTS)
    tables = stored.metadata
    tick_seconds = _PRUNE_SECONDS

    def __init__(self, keep_days: float = 365.0) -> None:
        self._keep = int(keep_days * _DAY)
        self._thinned = 0

    def handle(self, events: Sequence[Event]) -> None:
        named: list[Any] = [in_one_spelling(event) for event in events if getattr(event, "asset", "")]
        touched = Graph()
        for event in named:
            touched.take(event)
        known = list(self._known(touched))
        graph = Graph(known)
        for event in named:
            graph.take(event)
        for kind in KINDS:
            _save(self.context, _KEPT[kind], graph.rows[kind], {row.at() for row in known if type(row) is kind})
        if graph.outcomes:
            self.context.write(_insert_outcome, graph.outcomes)
        if graph.sightings:
            self.context.write(_insert_sighting, list(graph.sightings.values()))

    def tick(self, now: int) -> None:
        """Forget old outcomes, but not an asset's latest, and of old sightings all but the day's last."""
        if self._keep:
            before = now - self._keep
            self.context.write(_forget, [{"before": before}])
            self.context.write(_thin, [{"before": before, "since": self._thinned}])
            self._thinned = max(0, before - _OVERLAP)

    def _known(self, touched: Graph) -> Iterator[Row]:
        """What the tables hold of the rows that the events touch."""
        for kind in KINDS:
            kept, wanted = _KEPT[kind], touched.rows[kind]
            firsts = sorted({key[0] for key in wanted})
            for row in self._rows(kept, firsts, {key[1] for key in wanted} if len(kind.key) > 1 else set()):
                found = kind(**row._mapping)
                if found.at() in wanted:
                    yield found

    def _rows(self, kept: _Kept, firsts: list[Any], seconds: set[Any]) -> Iterator[Any]:
        """Rows by the first column of their key, and the second where a few will do: a hub has a million edges."""
        few = kept.second.in_(sorted(seconds)) if 0 < len(seconds) <= _KEYS_A_QUERY else true()
        for start in range(0, len(firsts), _KEYS_A_QUERY):
            part = firsts[start : start + _KEYS_A_QUERY]
            yield from self.context.read(select(kept.table).where(kept.first.in_(part), few))


class _Kept:
    """The statements that keep a table's rows, built once."""

    def __init__(self, table: Table, keys: tuple[str, ...]) -> None:
        self.table, self.keys = table, keys
        self.first, self.second = table.c[keys[0]], table.c[keys[min(1, len(keys) - 1)]]
        self.insert = insert(table)
        self.update = update(table).where(and_(*(table.c[name] == bindparam(f"key_{name}") for name in keys)))

    def changed(self, row: dict[str, Any]) -> dict[str, Any]:
        return {f"key_{name}" if name in self.keys else name: value for name, value in row.items()}


def _save(context: Context, kept: _Kept, rows: Mapping[Any, Any], known: set[Any]) -> None:
    new = [msgspec.structs.asdict(row) for key, row in rows.items() if key not in known]
    changed = [kept.changed(msgspec.structs.asdict(row)) for key, row in rows.items() if key in known]
    if new:
        context.write(kept.insert, new)
    if changed:
        context.write(kept.update, changed)


_TABLES: Final[dict[type[Row], Table]] = {
    AssetRow: stored.assets,
    EdgeRow: stored.edges,
    ColumnRow: stored.columns,
    CheckRow: stored.checks,
    AliasRow: stored.aliases,
    JobRow: stored.jobs,
    JobAssetRow: stored.job_assets,
}
_KEPT: Final = {kind: _Kept(table, kind.key) for kind, table in _TABLES.items()}
_insert_outcome: Final = insert(stored.outcomes)
_insert_sighting: Final = insert(stored.sightings)
_latest: Final = select(stored.assets.c.outcome).union(select(stored.assets.c.materialization))
_forget: Final = delete(stored.outcomes).where(
    and_(stored.outcomes.c.time < bindparam("before"), not_(stored.outcomes.c.id.in_(_latest)))
)


def _thinning() -> Delete:
    """Deletes sightings after which the same was seen once more on the same day, in UTC."""
    here, later = stored.sightings, stored.sightings.alias("later")
    same = and_(*(here.c[name] == later.c[name] for name in ("downstream", "upstream", "evidence")))
    day_end = here.c.time - here.c.time % _DAY + _DAY
    after = or_(later.c.time > here.c.time, and_(later.c.time == here.c.time, later.c.event > here.c.event))
    again = exists().where(same, after, later.c.time < day_end)
    return delete(here).where(here.c.time >= bindparam("since"), here.c.time < bindparam("before"), again)


_thin: Final = _thinning()
