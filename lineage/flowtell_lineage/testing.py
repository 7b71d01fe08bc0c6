"""Lineage as a test: what a project's flows must and must not connect.

```python
def test_people_stay_private(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWTELL_HOME", str(tmp_path))
    nightly()
    assert_edges(("postgres://crm/public/people", "s3://lake/people"))
    assert_no_path("postgres://crm/*", "s3://public/*")
```

Each takes the graph that the runs of the configured home have left, or one that is handed over. `*` stands for any text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from flowtell_lineage.walk import NOW, View

if TYPE_CHECKING:
    import networkx as nx


def lineage_graph(view: View = NOW) -> nx.DiGraph[str]:
    """The graph of everything that has run, with what the journals hold by now; keys as nodes, edges with `evidences`."""
    from flowtell.cli.session import open_session
    from flowtell_lineage.questions import digraph

    with open_session() as session:
        return digraph(session.read, view=view)


def assert_edges(*edges: tuple[str, str], graph: nx.DiGraph[str] | None = None, exactly: bool = False) -> None:
    """Each pair, upstream and downstream, is an edge; with `exactly` there is no other."""
    graph = lineage_graph() if graph is None else graph
    missing = [pair for pair in edges if not graph.has_edge(*pair)]
    assert not missing, f"no edge {_listed(missing)}; there are {_listed(graph.edges)}"
    others = sorted(set(graph.edges) - set(edges)) if exactly else []
    assert not others, f"more edges than expected: {_listed(others)}"


def assert_no_path(start: str, end: str, graph: nx.DiGraph[str] | None = None) -> None:
    """Nothing that `start` names leads to anything that `end` names, whatever lies between."""
    graph = lineage_graph() if graph is None else graph
    found = next(_paths(graph, start, end), None)
    assert found is None, f"a path that must not be: {' -> '.join(found or ())}"


def _paths(graph: nx.DiGraph[str], start: str, end: str) -> Iterator[list[str]]:
    import networkx as nx

    for source in sorted(key for key in graph if fnmatchcase(key, start)):
        ways = nx.single_source_shortest_path(graph, source)
        yield from (way for key, way in sorted(ways.items()) if len(way) > 1 and fnmatchcase(key, end))


def _listed(edges: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{up} -> {down}" for up, down in sorted(edges)) or "none"


__all__ = ["assert_edges", "assert_no_path", "lineage_graph"]
