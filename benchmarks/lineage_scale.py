"""A million edges between 300,000 assets: neighbourhoods, impact, memory; on SQLite and on PostgreSQL.

Twenty layers; an asset is made of three or four of the layer before, one edge in ten skips a layer. A process of its own
asks, so that its memory is that of asking. PostgreSQL is that of `benchmarks/postgres.py`.
Run: `python benchmarks/lineage_scale.py`, or with the number of assets.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from figure import Figure
from sqlalchemy import insert

LAYERS, ASSETS, EDGES_AN_ASSET = 20, 300_000, 3.5
ROWS = 20_000
SELF_OVERWRITES = 1_000


def key(layer: int, place: int) -> str:
    return f"postgres://warehouse/layer_{layer}/table_{place}"


def edge_keys(assets: int) -> Iterator[tuple[str, str]]:
    """Upstream and downstream."""
    chance, width = random.Random(7), assets // LAYERS
    for layer in range(1, LAYERS):
        for place in range(width):
            for _ in range(3 + chance.randint(0, 1)):
                above = layer - 1 if layer == 1 or chance.random() < 0.9 else chance.randrange(layer - 1)
                yield key(above, chance.randrange(width)), key(layer, place)


def fill(url: str, assets: int) -> int:
    """A store with the graph's tables as the plugin leaves them. How many edges."""
    from flowtell.store import open_store
    from flowtell.store.tables import cursors
    from flowtell_lineage import tables
    from flowtell_lineage.graph import AssetRow, EdgeRow
    from flowtell_lineage.identity import number

    store = open_store(url)
    store.create_tables(tables.metadata)
    pairs = {(number(up), number(down)) for up, down in edge_keys(assets)}
    names = (key(layer, place) for layer in range(LAYERS) for place in range(assets // LAYERS))
    nodes = (AssetRow(id=number(name), asset=name, first_seen=1, last_seen=1, owners='["team"]') for name in names)
    edges = (
        EdgeRow(upstream=up, downstream=down, evidence="future", first_seen=1, last_seen=1, last_run="0" * 32, seen=1)
        for up, down in pairs
    )
    for table, rows in ((tables.assets, nodes), (tables.edges, edges)):
        _insert(store, table, rows)
    with store.write() as transaction:
        if url.startswith("postgresql"):
            transaction.connection.exec_driver_sql("ANALYZE")  # as autovacuum does a minute later
        transaction.connection.execute(insert(cursors).values(plugin="lineage", seq=0, moved=0))
    store.close()
    return len(pairs)


def _insert(store: Any, table: Any, rows: Iterator[Any]) -> None:

    from msgspec.structs import asdict

    while some := list(islice(rows, ROWS)):
        with store.write() as transaction:
            transaction.connection.execute(insert(table), [asdict(row) for row in some])


def ask(url: str, assets: int) -> dict[str, float]:
    """Seconds of each question, and peak memory in MB."""
    from flowtell.store import open_store
    from flowtell_lineage.questions import impact
    from flowtell_lineage.reading import neighbourhood

    store = open_store(url, read_only=True)
    chance, width = random.Random(1), assets // LAYERS
    middle = [key(LAYERS // 2, chance.randrange(width)) for _ in range(100)]
    neighbourhood(store.read, middle[0], up=3, down=3)
    near = [_seconds(lambda one=one: neighbourhood(store.read, one, up=3, down=3)) for one in middle]
    sizes = [len(impact(store.read, key(0, place))) for place in range(3)]
    size = max(sizes)
    top = sizes.index(size)
    far = statistics.median(_seconds(lambda: impact(store.read, key(0, top))) for _ in range(3))
    store.close()
    return {
        "near_p95": statistics.quantiles(near, n=20)[-1],
        "near_p50": statistics.median(near),
        "impact": far,
        "hit": size,
        "memory": _peak(),
    }


def _peak() -> float:
    """MB that this process has held at most; `ru_maxrss` would count what the one that started it held."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def self_overwrites() -> float:
    """How many times longer the fourth quarter of a thousand runs takes that each overwrite a table made of itself."""
    from flowtell.events import AssetMaterialized, UpstreamAsset
    from flowtell.ids import new_id
    from flowtell.testing import PluginHarness
    from flowtell_lineage.plugin import create

    with tempfile.TemporaryDirectory() as folder, PluginHarness(create, folder, name="lineage") as lineage:
        own = (UpstreamAsset(asset="s3://lake/table", evidence="read"),)
        quarters = []
        for _ in range(4):
            events = [
                AssetMaterialized(id=new_id(), time=time.time_ns() // 1000, asset=own[0].asset, run=new_id(), upstream=own)
                for _ in range(SELF_OVERWRITES // 4)
            ]
            quarters.append(_seconds(lambda events=events: lineage.feed(events, batch=10)))
    return quarters[-1] / min(quarters[:2])


def _asked(url: str, assets: int) -> dict[str, float]:
    command = [sys.executable, __file__, "ask", url, str(assets)]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def _figures(store: str, assets: int, found: dict[str, float], times: float, edges: int) -> list[Figure]:
    note = f"{edges:,} edges, {assets:,} assets"
    told = [
        Figure(f"{store}: three steps each way, p95", found["near_p95"] * 1000, "ms", at_most=10 * times, note=note),
        Figure(f"{store}: impact", found["impact"], "s", at_most=times, note=f"{found['hit']:,.0f} assets hit"),
    ]
    memory = Figure(f"{store}: memory of asking", found["memory"], "MB", at_most=150)
    return [*told, memory] if times == 1 else told


def measure(quick: bool, assets: int = ASSETS) -> list[Figure]:
    from postgres import database

    assets = assets // 30 if quick else assets
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/flowtell.db"
        edges = fill(url, assets)
        figures = _figures("SQLite", assets, _asked(url, assets), 1, edges)
    with database() as url:
        edges = fill(url, assets)
        figures += _figures("PostgreSQL", assets, _asked(url, assets), 2, edges)
    linear = Figure("a table made of itself, last quarter of 1,000 runs", self_overwrites(), "times the first", at_most=2)
    return [*figures, linear]


if __name__ == "__main__":
    if sys.argv[1:2] == ["ask"]:
        print(json.dumps(ask(sys.argv[2], int(sys.argv[3]))))
    else:
        for figure in measure(quick=False, assets=int(sys.argv[1]) if sys.argv[1:] else ASSETS):
            print(figure.name, f"{figure.value:,.4g} {figure.unit}", figure.bound, figure.note, sep="  ")
