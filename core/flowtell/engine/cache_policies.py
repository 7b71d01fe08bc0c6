"""What makes two runs of a task the same, so that the second takes the first's result: its inputs, its code, its run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flowtell.engine.fingerprint import code_fingerprint, fingerprint

if TYPE_CHECKING:
    from flowtell.engine.current import CurrentRun
    from flowtell.engine.tasks import Task

CacheKeyFn = Callable[..., str | None]
"""Called with a `CacheContext` and the parameters by name; None where the run is to be computed."""


class CacheContext(Struct, frozen=True, kw_only=True):
    """The run that a key is made for."""

    task: Task[..., Any]
    task_run: CurrentRun
    parameters: dict[str, Any]


class CachePolicy:
    """What a key is made of. Add policies with `+`, take a parameter out with `- "name"`; your own has `compute_key`."""

    def compute_key(
        self, task_ctx: CacheContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **more: Any
    ) -> str | None:
        """The key of a run with these inputs; None where this policy has nothing to say.

        What it raises has the run computed, with a warning.
        """
        raise NotImplementedError

    @staticmethod
    def from_cache_key_fn(cache_key_fn: CacheKeyFn) -> CacheKeyFnPolicy:
        return CacheKeyFnPolicy(cache_key_fn)

    def __add__(self, other: CachePolicy) -> CachePolicy:
        if not isinstance(other, CachePolicy):
            return NotImplemented
        return self if isinstance(other, NoCache) else CompoundCachePolicy((self, other))

    def __sub__(self, other: str) -> CachePolicy:
        """Without the parameter of that name, where the inputs count at all.

        Raises:
            TypeError: it is no name.
        """
        _check_name(other)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class NoCache(CachePolicy):
    """Each run is computed, and nothing kept."""

    def compute_key(
        self, task_ctx: CacheContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **more: Any
    ) -> str | None:
        return None

    def __add__(self, other: CachePolicy) -> CachePolicy:
        return other


class Inputs(CachePolicy):
    """The values of the task's parameters, defaults included, but of those named in `exclude`."""

    def __init__(self, exclude: Iterable[str] = ()) -> None:
        self.exclude = frozenset(exclude)

    def compute_key(
        self, task_ctx: CacheContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **more: Any
    ) -> str | None:
        counted = {name: value for name, value in inputs.items() if name not in self.exclude}
        return fingerprint(counted) if inputs else None

    def __sub__(self, other: str) -> CachePolicy:
        _check_name(other)
        return Inputs(self.exclude | {other})

    def __repr__(self) -> str:
        return f"Inputs(exclude={sorted(self.exclude)})"


class TaskSource(CachePolicy):
    """The code of the task's function: a change of it, comments and layout apart, makes another key."""

    def compute_key(
        self, task_ctx: CacheContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **more: Any
    ) -> str | None:
        return task_ctx.task.code_fingerprint


class FlowParameters(CachePolicy):
    """The parameters of the flow run around the task."""

    def compute_key(
        self, task_ctx: CacheContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **more: Any
    ) -> str | None:
        return fingerprint(flow_parameters) if flow_parameters else None


class RunId(CachePolicy):
    """The flow run around the task: only its own runs, and those of its retries, take each other's results."""

    def compute_key(
        self, task_ctx: CacheContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **more: Any
    ) -> str | None:
        return task_ctx.task_run.flow_run_id or task_ctx.task_run.task_run_id


class CacheKeyFnPolicy(CachePolicy):
    """What a function of one's own makes of the run and its parameters, taken as it is: tasks that agree on it share."""

    def __init__(self, cache_key_fn: CacheKeyFn) -> None:
        self.cache_key_fn = cache_key_fn

    def compute_key(
        self, task_ctx: CacheContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **more: Any
    ) -> str | None:
        return self.cache_key_fn(task_ctx, inputs)


class CompoundCachePolicy(CachePolicy):
    """All of several policies: one key of those that they make. Their order does not count."""

    def __init__(self, policies: Iterable[CachePolicy]) -> None:
        flat = [one for given in policies for one in _parts(given)]
        inputs = [one for one in flat if isinstance(one, Inputs)]
        rest = tuple(one for one in flat if not isinstance(one, Inputs))
        both = (Inputs(frozenset().union(*(one.exclude for one in inputs))),) if inputs else ()
        self.policies: tuple[CachePolicy, ...] = (*rest, *both)

    def compute_key(
        self, task_ctx: CacheContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **more: Any
    ) -> str | None:
        keys = [one.compute_key(task_ctx, inputs, flow_parameters, **more) for one in self.policies]
        known = sorted(key for key in keys if key is not None)
        return fingerprint(known) if known else None

    def __sub__(self, other: str) -> CachePolicy:
        return CompoundCachePolicy(one - other for one in self.policies)

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.policies))


def _parts(policy: CachePolicy) -> tuple[CachePolicy, ...]:
    return policy.policies if isinstance(policy, CompoundCachePolicy) else (policy,)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"only the name of a parameter is taken from a cache policy, not {name!r}")


NO_CACHE = NONE = NoCache()
INPUTS = Inputs()
TASK_SOURCE = TaskSource()
FLOW_PARAMETERS = FlowParameters()
RUN_ID = RunId()
DEFAULT = INPUTS + TASK_SOURCE + RUN_ID


def task_input_hash(context: CacheContext, arguments: dict[str, Any]) -> str | None:
    """For `cache_key_fn`: the same for the same task, with the same code and the same arguments, in any run.

    Raises:
        NoFingerprint: an argument cannot be told apart from others; the run is computed, with a warning.
    """
    return fingerprint(identity(context.task.fn), context.task.code_fingerprint, arguments)


def identity(fn: Any) -> str:
    """Where a function stands: by its file's name where that runs as a script, as when its module is imported."""
    module = getattr(fn, "__module__", "") or ""
    if module == "__main__" and hasattr(fn, "__code__"):
        module = os.path.splitext(os.path.basename(fn.__code__.co_filename))[0]
    return f"{module}.{getattr(fn, '__qualname__', type(fn).__qualname__)}"


__all__ = ["code_fingerprint", "identity", "task_input_hash"]
