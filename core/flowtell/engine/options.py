"""What can be said of a flow or task: each option once, for decorators and editors alike, in Prefect's spelling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import os
    from datetime import timedelta

    from flowtell.engine.assets import Asset
    from flowtell.engine.cache_policies import CacheKeyFn, CachePolicy
    from flowtell.engine.retries import Delays
    from flowtell.engine.task_runners import TaskRunner
    from flowtell.events import RuleData
    from flowtell.results.serializers import Serializer

Hook = Callable[..., Any]
"""Called with the flow or task, the run and its state; what it raises is logged and changes nothing."""


class Options(TypedDict, total=False):
    """Of flows and tasks."""

    name: str | None
    description: str | None
    version: str | None
    tags: Iterable[str] | None
    retries: int | None
    retry_delay_seconds: Delays | None
    retry_jitter_factor: float | None
    """Up to this part of a delay is added to it at random."""
    retry_condition_fn: Callable[..., bool] | None
    """Called with the flow or task, the run and its state after a failed attempt; a false answer ends the run."""
    timeout_seconds: float | None
    """Of one attempt; of one step where the function is a generator."""
    log_prints: bool | None
    """None: as the run around it."""
    on_running: Iterable[Hook] | None
    on_completion: Iterable[Hook] | None
    on_failure: Iterable[Hook] | None
    """Also where the run timed out."""
    on_cancellation: Iterable[Hook] | None
    on_crashed: Iterable[Hook] | None


class FlowOptions(Options, total=False):
    """Of flows alone."""

    concurrency_limit: int | None
    """How many runs of the flow may go on at a time, in whatever process; the others wait their turn. See `limits`."""

    flow_run_name: str | Callable[..., str] | None
    validate_parameters: bool
    task_runner: TaskRunner | None
    rules: Sequence[RuleData] | None
    owners: Iterable[str] | None


class TaskOptions(Options, total=False):
    """Of tasks alone."""

    task_run_name: str | Callable[..., str] | None
    on_commit: Iterable[Callable[..., Any]] | None
    """Called with the transaction when that ends well, outside of any when the task completed: `flowtell.transactions`."""
    on_rollback: Iterable[Callable[..., Any]] | None
    """Called with the transaction when that does not end well after the task has completed in it."""
    cache_policy: CachePolicy | None
    """What makes two runs the same, so that the second takes the first's result: see `flowtell.cache_policies`."""
    cache_key_fn: CacheKeyFn | None
    """Called with a context and the parameters by name: the key, or None where the run is to be computed."""
    cache_expiration: timedelta | float | None
    """How long a result may be used, as a timedelta or in seconds."""
    refresh_cache: bool | None
    """Whether to compute what is known, and keep that instead. None: as `results.refresh_cache` of the configuration."""
    persist_result: bool | None
    """True: keep the result, for this flow run and its retries where no policy says more. False: keep nothing."""
    result_storage: str | os.PathLike[str] | None
    """A folder, or an address that fsspec knows. None: as `results.storage` of the configuration."""
    result_serializer: str | Serializer | None
    """`pickle`, `json`, either after `compressed/`, or one's own. None: as `results.serializer` of the configuration."""
    asset_deps: Iterable[Asset | str] | Mapping[Any, Iterable[Asset | str]] | None
    """Assets that the task reads; on a plain task they are handed on to what is made of its result.

    A mapping says for each output what it is made of: assets, and names of parameters by which they come in.
    """


class MaterializeOptions(TaskOptions, total=False):
    """Of tasks that make assets."""

    assets: Iterable[Asset | str]
    by: str | None
    """What does the work, such as `dbt` or `spark`."""
    columns: Mapping[Any, Any] | None
    """By column of what is made, the (asset, column) pairs it comes from; of several assets by asset first."""
    sql: str | None
    """The statement that makes it, from which `flowtell-lineage` reads columns."""


_KNOWN: dict[str, type] = {"flow": FlowOptions, "task": MaterializeOptions}


def check_names(kind: str, given: Mapping[str, Any]) -> None:
    """Raise for an option that a flow or task does not have.

    Raises:
        TypeError: with the closest name that there is.
    """
    names = _KNOWN[kind].__annotations__
    for name in given:
        if name not in names:
            from difflib import get_close_matches

            close = get_close_matches(name, names, n=1)
            raise TypeError(f"@{kind} has no option {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
