"""A run's dependencies: who was given whose result, mapped tasks as one, and the same in the table."""

from __future__ import annotations

from flowtell.store.reading import TaskRun, UpstreamRun
from flowtell_dashboard.gantt.graph import Edge, graph, read_task_graph


def ran(id, task, *given, index=None, state="completed"):
    upstream = tuple(UpstreamRun(task_run=run, argument=argument) for run, argument in given)
    return TaskRun(id=id, run="r", flow="f", task=task, state=state, changed=1, map_index=index, upstream=upstream)


def test_a_mapped_task_is_one_box_with_its_worst_state():
    boxes, edges = graph(
        [
            ran("a", "extract"),
            ran("b", "transform", ("a", "row"), index=0),
            ran("c", "transform", ("a", "row"), index=1, state="failed"),
            ran("d", "load", ("b", "rows"), ("c", "rows"), ("a", "header")),
        ]
    )
    assert [(box.name, box.runs, box.state, box.bad) for box in boxes] == [
        ("extract", 1, "completed", 0),
        ("transform", 2, "failed", 1),
        ("load", 1, "completed", 0),
    ]
    assert edges == [
        Edge("a", "transform", ("row",)),
        Edge("transform", "d", ("rows",)),
        Edge("a", "d", ("header",)),
    ]


def test_what_is_not_there_or_one_of_themselves_is_no_edge():
    """A task run that is not shown, and a mapped one that was given a sibling's result."""
    _, edges = graph([ran("b", "step", ("gone", "x"), index=0), ran("c", "step", ("b", "x"), index=1)])
    assert edges == []


def test_a_run_without_dependencies_has_no_picture(house):
    """Nor has one that is not there."""
    assert read_task_graph(house.store.read, "e" * 32) == (None, "", None)
