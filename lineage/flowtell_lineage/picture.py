"""The graph as files that others show: JSON, Mermaid's text, and SVG that needs nothing else.

Assets stand in layers from left to right, each to the right of what it is made of; what goes in a circle is cut where the
walk met it last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from flowtell_lineage.reading import Graph

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 260, 36, 90, 16, 20
_LONGEST = 34
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2933}rect{fill:#f5f7fa;stroke:#7b8794}path{fill:none;stroke:#7b8794}"
    "@media(prefers-color-scheme:dark){text{fill:#e4e7eb}rect{fill:#1f2933;stroke:#9aa5b1}path{stroke:#9aa5b1}}"
)


def mermaid(graph: Graph) -> str:
    """A flowchart as Mermaid reads it."""
    names = {asset.asset: f"a{at}" for at, asset in enumerate(graph.assets)}
    nodes = [f'  {name}["{_quoted(key)}"]' for key, name in names.items()]
    edges = [f"  {names[up]} --> {names[down]}" for up, down in _pairs(graph)]
    return "\n".join(["flowchart LR", *nodes, *edges])


def _quoted(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace("\n", " ")


def svg(graph: Graph) -> str:
    """A picture, light or dark as the reader's page is."""
    layers = layered([asset.asset for asset in graph.assets], _pairs(graph))
    at = {
        key: (_MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))
        for column, layer in enumerate(layers)
        for row, key in enumerate(layer)
    }
    width = 2 * _MARGIN + len(layers) * (_WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + max(map(len, layers), default=0) * (_HEIGHT + _GAP_Y)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    curves = (_curve(at[up], at[down]) for up, down in _pairs(graph))
    boxes = (_box(key, *place) for key, place in at.items())
    return "\n".join([head, f"<style>{_STYLE}</style>", *curves, *boxes, "</svg>"])


def _curve(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + _WIDTH, start[1] + _HEIGHT // 2, end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return f'<path d="M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"/>'


def _box(key: str, x: int, y: int) -> str:
    shown = key if len(key) <= _LONGEST else f"…{key[1 - _LONGEST :]}"
    box = f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
    return f'<g><title>{escape(key)}</title>{box}<text x="{x + 10}" y="{y + 22}">{escape(shown)}</text></g>'


def layered(keys: Iterable[str], pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Keys in layers, each as far right as its longest way from a start; each layer by the middle of what leads to it."""
    above: defaultdict[str, set[str]] = defaultdict(set)
    for up, down in pairs:
        if up != down:
            above[down].add(up)
    depth = _depths(sorted(keys), above)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for key in sorted(depth):
        layers[depth[key]].append(key)
    place: dict[str, int] = {}
    for layer in layers:
        layer.sort(key=lambda key: (_middle(above[key], place), key))
        place.update({key: at for at, key in enumerate(layer)})
    return layers


def _depths(keys: Sequence[str], above: Mapping[str, set[str]]) -> dict[str, int]:
    """Steps of the longest way to each; of a circle, the edge that closes it does not count. Without recursion."""
    depth: dict[str, int] = {}
    open_ones: set[str] = set()
    stack = list(reversed(keys))
    while stack:
        key = stack[-1]
        waiting = [up for up in sorted(above.get(key, ())) if up not in depth and up not in open_ones]
        if key in depth or not waiting:
            stack.pop()
            open_ones.discard(key)
            depth.setdefault(key, 1 + max((depth[up] for up in above.get(key, ()) if up in depth), default=-1))
        else:
            open_ones.add(key)
            stack += waiting
    return depth


def _middle(above: set[str], place: Mapping[str, int]) -> float:
    known = [place[up] for up in above if up in place]
    return sum(known) / len(known) if known else 0.0


def _pairs(graph: Graph) -> list[tuple[str, str]]:
    known = {asset.asset for asset in graph.assets}
    pairs = dict.fromkeys((edge.upstream, edge.downstream) for edge in graph.edges)
    return [pair for pair in pairs if known.issuperset(pair)]
