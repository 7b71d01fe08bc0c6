"""`.map`: one submitted run for each element."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowtell.engine.futures import Future, FutureList
from flowtell.engine.marks import allow_failure, unmapped
from flowtell.engine.submission import submit

if TYPE_CHECKING:
    from flowtell.engine.tasks import Task


def submit_each(task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any) -> FutureList[Any]:
    """A future to be mapped over is waited for first: only its result says how many runs there are."""
    columns = [_column(value) for value in (*args, *kwargs.values())]
    count = _count(task, columns)
    futures: FutureList[Any] = FutureList()
    for index in range(count):
        row = [fixed if column is None else column[index] for column, fixed in columns]
        run = task.new_run(task, tuple(row[: len(args)]), dict(zip(kwargs, row[len(args) :], strict=True)), wait_for)
        run.map_index = index
        futures.append(submit(run))
    return futures


def _column(value: Any) -> tuple[list[Any] | None, Any]:
    """The elements of an argument, or None and what goes to all runs."""
    if isinstance(value, unmapped):
        return None, value.value
    if isinstance(value, allow_failure) and isinstance(value.value, FutureList):
        return [allow_failure(one) for one in value.value], None
    if isinstance(value, Future):
        value = value.result()
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Iterable):
        return None, value
    return list(value), None


def _count(task: Task[..., Any], columns: list[tuple[list[Any] | None, Any]]) -> int:
    lengths = {len(column) for column, _ in columns if column is not None}
    if not lengths:
        raise ValueError(f"{task.name}.map needs an argument to map over: a list, a generator, a future of one")
    if len(lengths) > 1:
        raise ValueError(
            f"{task.name}.map: the arguments have different lengths, {sorted(lengths)}; wrap what all runs get in unmapped()"
        )
    return lengths.pop()
