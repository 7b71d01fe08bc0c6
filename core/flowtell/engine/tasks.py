"""`@task`: a function whose every call is a run inside its flow run, here or on another thread."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, Unpack, overload

from flowtell.engine.task_runs import TaggedTaskRun, TaskRun
from flowtell.engine.work import Work

if TYPE_CHECKING:
    from inspect import Signature

    from flowtell.engine.assets import Asset
    from flowtell.engine.caching import Caching
    from flowtell.engine.dependencies import Dependencies
    from flowtell.engine.futures import Future, FutureList
    from flowtell.engine.options import MaterializeOptions, TaskOptions
    from flowtell.events import Column

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
P2 = ParamSpec("P2")
R = TypeVar("R")
T = TypeVar("T")

_CACHING = frozenset({
    "cache_policy", "cache_key_fn", "cache_expiration", "refresh_cache", "persist_result", "result_storage",
    "result_serializer",
})  # fmt: skip
"""Options that say whether and how results are kept."""


class Task(Work[P, R_co]):
    """A task. Calling it runs it here; `submit` and `map` run it on other threads."""

    kind = "task"

    def __init__(self, fn: Callable[P, R_co], options: Mapping[str, Any]) -> None:
        super().__init__(fn, options)
        self.assets = _assets(options.get("assets"))
        self.dependencies = _dependencies(options.get("asset_deps"), self.assets, fn)
        self.asset_deps = () if self.dependencies is None else self.dependencies.assets
        self.columns = _columns(options.get("columns"), self.assets)
        """By key of what it makes."""
        self.sql: str = options.get("sql") or ""
        self.by: str = options.get("by") or ""
        self.touches_assets = bool(self.assets or self.asset_deps)
        self.caching = _caching(options, self.colour, self.name)
        self.new_run = _runs_of(self)

    @cached_property
    def signature(self) -> Signature:
        from inspect import signature

        return signature(self.fn)

    @cached_property
    def code_fingerprint(self) -> str:
        """Of what the function does; another one where its code has changed."""
        from flowtell.engine.fingerprint import code_fingerprint

        return code_fingerprint(self.fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        if kwargs and ("return_state" in kwargs or "wait_for" in kwargs):
            return self._call_as_asked(args, kwargs)  # type: ignore[no-any-return]
        return self._drive(self.new_run(self, args, kwargs, None))  # type: ignore[no-any-return]

    def _call_as_asked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        returns_state, wait_for = kwargs.pop("return_state", False), kwargs.pop("wait_for", None)
        run = self.new_run(self, args, kwargs, wait_for)
        if not returns_state:
            return self._drive(run)
        from flowtell.engine.return_state import run_for_state

        return run_for_state(run)

    @overload
    def submit(self: Task[P2, Coroutine[Any, Any, T]], *args: P2.args, **kwargs: P2.kwargs) -> Future[T]: ...
    @overload
    def submit(self: Task[P2, T], *args: P2.args, **kwargs: P2.kwargs) -> Future[T]: ...
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run on another thread, once all futures among the arguments and in `wait_for` have ended.

        If one of those failed, the task is not run: its state is `skipped` and its result `UpstreamFailed`, unless the
        future is wrapped in `allow_failure`. With `return_state=True` it is waited for, and its state returned.
        """
        from flowtell.engine.submission import submit

        wait_for, returns_state = kwargs.pop("wait_for", None), kwargs.pop("return_state", False)
        future = submit(self.new_run(self, args, kwargs, wait_for))
        return future.wait().state if returns_state else future  # type: ignore[return-value]

    def map(self, *args: Any, **kwargs: Any) -> FutureList[Any]:
        """Submit once for each element of the arguments that can be iterated; `unmapped`, text and scalars go to all.

        With `return_state=True` all are waited for, and a list of their states is returned.

        Raises:
            ValueError: there is nothing to map over, or the lengths differ.
        """
        from flowtell.engine.mapping import submit_each

        wait_for, returns_state = kwargs.pop("wait_for", None), kwargs.pop("return_state", False)
        futures = submit_each(self, args, kwargs, wait_for)
        return [one.state for one in futures.wait()] if returns_state else futures  # type: ignore[return-value]

    def on_commit(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator: called with the transaction around a run when that ends well."""
        return self._hang("on_commit", hook)

    def on_rollback(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A decorator: called with the transaction in which a run completed when that is rolled back."""
        return self._hang("on_rollback", hook)

    def with_options(self, **options: Unpack[MaterializeOptions]) -> Self:
        """The same task with other options, `assets` among them; what is not named stays."""
        return self._with(options)


def _caching(options: Mapping[str, Any], colour: str, name: str) -> Caching | None:
    if not options or _CACHING.isdisjoint(options):
        return None
    from flowtell.engine.caching import caching_of

    return caching_of(options, colour, name)


def _runs_of(task: Task[..., Any]) -> type[TaskRun]:
    if task.caching is None:
        return TaggedTaskRun if task.tags else TaskRun
    from flowtell.engine.kept_runs import KeptTaskRun, TaggedKeptTaskRun

    return TaggedKeptTaskRun if task.tags else KeptTaskRun


def _assets(given: Any) -> tuple[Asset, ...]:
    if not given:
        return ()
    from flowtell.engine.assets import as_asset

    return tuple(dict.fromkeys(as_asset(one) for one in given))


def _dependencies(given: Any, made: tuple[Asset, ...], fn: Callable[..., Any]) -> Dependencies | None:
    if not given:
        return None
    from flowtell.engine.dependencies import Dependencies

    return Dependencies(given, made, fn)


def _columns(given: Any, made: tuple[Asset, ...]) -> dict[str, tuple[Column, ...]]:
    if not given:
        return {}
    from flowtell.engine.columns import columns_by_asset

    return columns_by_asset(given, made)


@overload
def task(fn: Callable[P2, R], /) -> Task[P2, R]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P2, R]], Task[P2, R]]: ...
def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a task: every call is an observed run, inside a flow, inside another task, or by itself.

    An exception of the function fails the run, after its retries, and reaches the caller unchanged.
    """
    if fn is None:
        return lambda decorated: Task(decorated, options)
    return Task(fn, options)


def materialize(
    *assets: Asset | str,
    by: str | None = None,
    columns: Mapping[Any, Any] | None = None,
    sql: str | None = None,
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[P2, R]], Task[P2, R]]:
    """Make a function a task that makes `assets`: a run that completes has materialized them all.

    What they are made of is told from `asset_deps` and from the task runs whose results come in, see `lineage`.

    Raises:
        TypeError: no asset is named.
        BadAssetKey: a key is no URI.
        BadDependencies: `asset_deps` is a mapping of outputs that the task does not make, or names no parameter.
        BadColumns: `columns` cannot be understood.
    """
    if not assets or callable(assets[0]):
        raise TypeError("materialize needs the asset that is made: @materialize('s3://bucket/path')")
    return lambda decorated: Task(decorated, {**options, "assets": assets, "by": by, "columns": columns, "sql": sql})
