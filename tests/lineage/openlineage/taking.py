"""Takes documents as the receiver does, and gives what came of them: events, or the graph that they make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from flowtell.events import Event, decode
from flowtell.testing import PluginHarness
from flowtell_lineage.openlineage.receiving.receiver import Receiver
from flowtell_lineage.plugin import create
from flowtell_lineage.reading import get_asset, whole_graph


def events_of(home: Path, *batches: Sequence[dict[str, Any]]) -> list[Event]:
    """What a receiver of its own writes for these batches, as the log takes it: each id once."""
    receiver = Receiver(str(home))
    try:
        for batch in batches:
            assert receiver.take_all(batch) == []
    finally:
        receiver.close()
    return written(home)


def written(home: Path) -> list[Event]:
    """All events in the journals of a home."""
    lines = [line for path in sorted(home.rglob("*.jsonl")) for line in path.read_bytes().splitlines()[1:]]
    found = [decode(line) for line in lines if b'"type":"journal.' not in line]
    return list({event.id: event for event in found}.values())


def graph_hash(folder: Path, events: Iterable[Event]) -> str:
    """Of assets with how often they were made and what is said of them, and of edges with their evidence."""
    folder.mkdir(parents=True, exist_ok=True)
    with PluginHarness(create, folder, name="lineage") as harness:
        harness.feed(list(events))
        graph = whole_graph(harness.read)
        assets = [get_asset(harness.read, asset.asset) for asset in graph.assets]
        said = sorted((a.asset, a.kind, a.description, a.owners, a.tags, a.state, a.materializations) for a in assets)
        edges = sorted((edge.upstream, edge.downstream, edge.evidence) for edge in graph.edges)
    return hashlib.sha256(msgspec.json.encode([said, edges])).hexdigest()
