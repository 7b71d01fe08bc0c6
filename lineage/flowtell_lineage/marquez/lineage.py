"""Graphs in Marquez's shape: datasets and jobs around one, and columns around one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from sqlalchemy import and_, or_, select

from flowtell_lineage.identity import number
from flowtell_lineage.marquez import shapes
from flowtell_lineage.marquez.catalogue import known_jobs, parts, runs_of
from flowtell_lineage.marquez.shapes import KnownJob, dataset_node, job_node
from flowtell_lineage.names import split
from flowtell_lineage.reading import Read, assets_by_id, get_asset, keys_of
from flowtell_lineage.tables import columns, job_assets, jobs
from flowtell_lineage.walk import Walk

MOST_NODES: Final = 2_000
"""Datasets and jobs that one answer holds about."""
Edge = tuple[str, str]
"""Origin, destination: ids of nodes."""


def around(read: Read, *, asset: str = "", job: KnownJob | None = None, depth: int) -> dict[str, Any]:
    """What leads to a dataset or job, and what follows from it, so many jobs far each way; never both ways in turn."""
    start = (set[int](), {job.id}) if job is not None else ({number(asset)}, set[int]())
    above, below = (_reach(read, *start, way, depth) for way in ("up", "down"))
    found = known_jobs_by_id(read, above[1] | below[1])
    keys = set(keys_of(read, above[0] | below[0]).values())
    edges = [edge for known in found for edge in _edges(known, keys)]
    walk = Walk(read)
    kept = assets_by_id(walk, {walk.id_of(key) for key in keys})
    nodes = [_node(dataset_node(one.asset), "DATASET", shapes.dataset(one), edges) for one in kept]
    nodes += [_node(job_node(one.job), "JOB", shapes.job(one, runs_of(read, one, 1)), edges) for one in found]
    return {"graph": nodes}


def known_jobs_by_id(read: Read, ids: set[int]) -> list[KnownJob]:
    return [known for part in parts(sorted(ids)) for known in known_jobs(read, jobs.c.id.in_(part))]


def _edges(known: KnownJob, keys: set[str]) -> Iterable[Edge]:
    own = job_node(known.job)
    yield from ((dataset_node(key), own) for key in known.inputs if key in keys)
    yield from ((own, dataset_node(key)) for key in known.outputs if key in keys)


def _reach(
    read: Read, assets: set[int], found: set[int], way: Literal["up", "down"], depth: int
) -> tuple[set[int], set[int]]:
    """Datasets and jobs, by number."""
    makes, takes = ("output", "input") if way == "up" else ("input", "output")
    seen, known = set(assets), set(found)
    border = _other(read, job_assets.c.job, found, takes) - seen if found else assets
    seen |= border
    for _ in range(depth):
        new = _other(read, job_assets.c.asset, border, makes) - known
        known |= new
        border = _other(read, job_assets.c.job, new, takes) - seen
        seen |= border
        if not border or len(seen) + len(known) > MOST_NODES:
            break
    return seen, known


def _other(read: Read, column: Any, ids: set[int], role: str) -> set[int]:
    """The other side of what jobs read or make."""
    other = job_assets.c.asset if column is job_assets.c.job else job_assets.c.job
    wanted = select(other).where(job_assets.c.role == role).limit(MOST_NODES)
    return {row[0] for part in parts(sorted(ids)) for row in read(wanted.where(column.in_(part)))}


def _node(own: str, kind: str, data: dict[str, Any], edges: list[Edge]) -> dict[str, Any]:
    return {
        "id": own,
        "type": kind,
        "data": {**data, "type": data.get("type", kind)},
        "inEdges": [{"origin": one, "destination": other} for one, other in edges if other == own],
        "outEdges": [{"origin": one, "destination": other} for one, other in edges if one == own],
    }


# --- columns ----------------------------------------------------------------------------------------------------------

_Place = tuple[int, str]
"""Asset and column."""


def columns_around(read: Read, places: set[_Place], depth: int, *, downstream: bool) -> dict[str, Any]:
    """From which columns these are made, and which are made of them where that is wanted."""
    links = _column_links(read, places, "up", depth)
    links |= _column_links(read, places, "down", depth) if downstream else {}
    touched = places.union(*({(up, c), (down, d)} for (up, c, down, d) in links))
    keys = keys_of(read, {asset for asset, _ in touched})
    ids = {place: "datasetField:{}:{}:{}".format(*split(keys[place[0]]), place[1]) for place in touched if place[0] in keys}
    edges = [(ids[up, c], ids[down, d]) for (up, c, down, d) in links if (up, c) in ids and (down, d) in ids]
    graph = [
        _node(own, "DATASET_FIELD", _field(read, keys[place[0]], place, links, keys), edges)
        for place, own in sorted(ids.items(), key=lambda item: item[1])
    ]
    return {"graph": graph}


def columns_of_asset(read: Read, asset: str) -> set[_Place]:
    """All that are known: of its latest materialization, and those that lineage names."""
    own, made = number(asset), get_asset(read, asset).made
    found = {(own, column.name) for column in (made.columns if made else ())}
    for side, name in (
        (columns.c.downstream, columns.c.downstream_column),
        (columns.c.upstream, columns.c.upstream_column),
    ):
        found |= {(own, row[0]) for row in read(select(name).distinct().where(side == own).limit(MOST_NODES))}
    return found


def _column_links(
    read: Read, places: set[_Place], way: Literal["up", "down"], depth: int
) -> dict[tuple[int, str, int, str], str]:
    """Transformation by upstream, its column, downstream, its column."""
    here = (columns.c.downstream, columns.c.downstream_column)
    if way == "down":
        here = (columns.c.upstream, columns.c.upstream_column)
    links: dict[tuple[int, str, int, str], str] = {}
    border, seen = places, set(places)
    for _ in range(depth):
        rows = _column_rows(read, here, border)
        links |= {(r.upstream, r.upstream_column, r.downstream, r.downstream_column): r.transformation for r in rows}
        found = {(r.upstream, r.upstream_column) if way == "up" else (r.downstream, r.downstream_column) for r in rows}
        border = found - seen
        seen |= border
        if not border or len(seen) > MOST_NODES:
            break
    return links


def _column_rows(read: Read, here: tuple[Any, Any], border: set[_Place]) -> list[Any]:
    ordered = sorted(border)
    found: list[Any] = []
    for start in range(0, len(ordered), 100):
        either = or_(*(and_(here[0] == asset, here[1] == name) for asset, name in ordered[start : start + 100]))
        found += read(select(columns).where(either).limit(MOST_NODES))
    return found


def _field(
    read: Read, asset: str, place: _Place, links: dict[tuple[int, str, int, str], str], keys: dict[int, str]
) -> dict[str, Any]:
    name = split(asset)
    inputs = [
        {"namespace": source.namespace, "dataset": source.name, "field": column, "transformationType": how or None,
         "transformationDescription": None}
        for (up, column, down, own), how in links.items()
        if (down, own) == place and up in keys
        for source in (split(keys[up]),)
    ]  # fmt: skip
    return {
        "namespace": name.namespace,
        "dataset": name.name,
        "datasetVersion": None,
        "field": place[1],
        "fieldType": "",
        "transformationDescription": None,
        "transformationType": inputs[0]["transformationType"] if inputs else None,
        "inputFields": inputs,
    }
