"""The names of `prefect.futures`, so that a script changes only its import: waiting for several futures at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from flowtell.engine.containers import replace
from flowtell.engine.futures import Future, FutureList

T = TypeVar("T")


class DoneAndNotDoneFutures(NamedTuple):
    """What `wait` returns."""

    done: set[Future[Any]]
    not_done: set[Future[Any]]


def wait(futures: Iterable[Future[Any]], timeout: float | None = None) -> DoneAndNotDoneFutures:
    """Wait until all have ended, or for `timeout` seconds in all; which have, and which have not."""
    listed = FutureList(futures).wait(timeout)
    done = {future for future in listed if future.done()}
    return DoneAndNotDoneFutures(done, set(listed) - done)


def as_completed(futures: Iterable[Future[T]], timeout: float | None = None) -> Iterator[Future[T]]:
    """Each future as it ends.

    Raises:
        TimeoutError: not all have ended within `timeout` seconds.
    """
    left, ended = set(futures), SimpleQueue[Future[T]]()
    for future in tuple(left):
        future.add_done_callback(ended.put)
    until = None if timeout is None else monotonic() + timeout
    while left:
        future = _next(ended, until, len(left))
        left.discard(future)
        yield future


def _next(ended: SimpleQueue[Future[T]], until: float | None, left: int) -> Future[T]:
    from flowtell.engine.task_runners import waiting

    with waiting():
        try:
            return ended.get(timeout=None if until is None else max(until - monotonic(), 0.0))
        except Empty:
            raise TimeoutError(f"{left} futures have not ended in time") from None


def resolve_futures_to_results(expr: Any) -> Any:
    """The same value, with the result in place of each future in it, waited for.

    Raises:
        Exception: the first that one of them raised.
    """
    return replace(expr, lambda item: item.result() if isinstance(item, Future) else item)


def resolve_futures_to_states(expr: Any) -> Any:
    """The same value, with the state in place of each future in it, once that has ended."""
    return replace(expr, lambda item: item.wait().state if isinstance(item, Future) else item)


__all__ = [
    "DoneAndNotDoneFutures",
    "Future",
    "FutureList",
    "as_completed",
    "resolve_futures_to_results",
    "resolve_futures_to_states",
    "wait",
]
