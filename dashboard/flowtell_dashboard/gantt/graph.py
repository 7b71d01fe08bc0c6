"""Which of a run's tasks were given which others' results: a picture laid out here, and the same as a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dash import html

from flowtell.errors import RunNotFound
from flowtell.store.reading import TaskRun, get_run, list_task_runs
from flowtell_dashboard.lineage.layout import Grid
from flowtell_dashboard.states import look
from flowtell_dashboard.timeline.blocks import FIRST_BAD, STATES
from flowtell_dashboard.told.sections import table

if TYPE_CHECKING:
    from flowtell.store.reading import Read

PARTS: Final = (("task-graph", "data"), ("task-graph-summary", "children"), ("task-graph-twin", "children"))
"""What is filled in, in the order in which it is told."""

TASK_RUNS: Final = 5_000
"""Of one run, that are looked at."""
BOXES: Final = 200
_ARGUMENTS: Final = 4


class Box(NamedTuple):
    """A task run, or all of a mapped task; `runs` of them."""

    key: str
    name: str
    state: str
    runs: int
    bad: int
    duration: float | None


class Edge(NamedTuple):
    """A task was given another's result, as these arguments."""

    upstream: str
    downstream: str
    arguments: tuple[str, ...]


class TaskGraph(NamedTuple):
    """What the section shows, in the order of its callback's outputs; no picture where nothing depends on anything."""

    picture: dict[str, Any] | None
    summary: str
    twin: Any


def read_task_graph(read: Read, wanted: str) -> TaskGraph:
    """One bounded query."""
    try:
        run = get_run(read, wanted)
    except RunNotFound:
        return TaskGraph(None, "", None)
    tasks = list_task_runs(read, run.id, limit=TASK_RUNS)
    boxes, edges = graph(tasks)
    if not edges:
        return TaskGraph(None, "", None)
    shown = boxes[:BOXES]
    left = f"the first {BOXES:,} of {len(boxes):,} tasks" if len(boxes) > BOXES else f"{len(boxes):,} tasks"
    there = {box.key for box in shown}
    drawn = [edge for edge in edges if edge.upstream in there and edge.downstream in there]
    return TaskGraph(_picture(shown, drawn), f"{left}, {len(drawn):,} results passed on", _twin(boxes, edges))


def graph(tasks: Sequence[TaskRun]) -> tuple[list[Box], list[Edge]]:
    """The runs of a mapped task are one box: that one of them was given something says so of all."""
    box_of = {task.id: task.task if task.map_index is not None else task.id for task in tasks}
    inside: defaultdict[str, list[TaskRun]] = defaultdict(list)
    arguments: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for task in tasks:
        inside[box_of[task.id]].append(task)
        for given in task.upstream:
            if (up := box_of.get(given.task_run)) is not None and up != box_of[task.id]:
                arguments[up, box_of[task.id]][given.argument or "waits for it"] = None
    boxes = [_box(key, members) for key, members in inside.items()]
    return boxes, [Edge(*pair, tuple(names)) for pair, names in arguments.items()]


def _box(key: str, members: Sequence[TaskRun]) -> Box:
    numbers = [_number(task.state) for task in members]
    duration = members[0].duration if len(members) == 1 else None
    return Box(key, members[0].task, STATES[max(numbers)], len(members), sum(n >= FIRST_BAD for n in numbers), duration)


def _number(state: str) -> int:
    return STATES.index(state if state in STATES else "unknown")


def _picture(boxes: Sequence[Box], edges: Sequence[Edge]) -> dict[str, Any]:
    """What `assets/lineage.js` draws."""
    grid = Grid([box.key for box in boxes], [(edge.upstream, edge.downstream) for edge in edges])
    numbers = {box.key: number for number, box in enumerate(boxes)}
    return {
        "columns": grid.columns,
        "rows": grid.rows,
        "verb": "was given",
        "nodes": [_node(box, grid) for box in boxes],
        "edges": [
            {
                "from": numbers[edge.upstream],
                "to": numbers[edge.downstream],
                "bends": grid.bends(edge.upstream, edge.downstream),
                "words": _words(edge.arguments),
                "kind": "seen",
            }
            for edge in edges
        ],
    }


def _node(box: Box, grid: Grid) -> dict[str, Any]:
    column, row = grid.place(box.key)
    return {
        "key": box.key,
        "title": _title(box),
        "here": False,
        "href": "",
        "column": column,
        "row": row,
        "state": box.state,
        "word": _state_words(box),
        "seconds": box.duration,
        "more": [],
    }


def _title(box: Box) -> str:
    return f"{box.name} \N{MULTIPLICATION SIGN}{box.runs:,}" if box.runs > 1 else box.name


def _state_words(box: Box) -> str:
    return f"{box.bad:,} of {box.runs:,} failed" if box.bad and box.runs > 1 else look(box.state).word


def _words(arguments: Sequence[str]) -> str:
    more = f" and {len(arguments) - _ARGUMENTS} more" if len(arguments) > _ARGUMENTS else ""
    return ", ".join(arguments[:_ARGUMENTS]) + more


def _twin(boxes: Iterable[Box], edges: Sequence[Edge]) -> Any:
    """All edges, those too that are not drawn."""
    named = {box.key: _title(box) for box in boxes}
    rows = [[named[edge.downstream], named[edge.upstream], _words(edge.arguments)] for edge in edges]
    listed = table(("Task", "Was given the result of", "As"), rows)
    return html.Details([html.Summary(f"As a table ({len(rows):,} results passed on)"), listed], className="twin")
