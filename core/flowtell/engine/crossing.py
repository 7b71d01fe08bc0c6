"""What crosses to another process to run a task's body there, and what comes back: the same for every runner.

The run itself stays where it was submitted: its attempts, retries, cache, hooks and events are told there, in order. Over
goes a `Package`: the task, its arguments, and what the body may ask for (its run, its flow, what came in). Back comes a
`Reply`: the result or the exception, and what the body has said of assets.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flowtell.engine.far_traceback import FarTraceback
from flowtell.engine.inputs import named
from flowtell.engine.limiting import holding
from flowtell.engine.pickling import dumps, pickled_task
from flowtell.errors import CannotCross

if TYPE_CHECKING:
    from flowtell.engine.task_runs import TaskRun
    from flowtell.events import AssetMaterialized, Failure, UpstreamAsset


class Package(NamedTuple):
    """One call of a task's function. Pickled parts stay apart: what cannot be read names its task all the same."""

    name: str
    task: bytes
    arguments: bytes
    surroundings: Mapping[str, Any]
    """Of the scope, by the names of its attributes."""
    run: Mapping[str, Any]
    """Of the task run, likewise."""
    inputs: Any
    """What its lineage knows came in, and what cannot be followed; None where nothing did."""
    holding: tuple[str, ...]
    secrets: tuple[str, ...]
    """Texts that are to get into no event."""


class Said(NamedTuple):
    """What a body has said of assets, and what came into it from tasks that it called."""

    metadata: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]
    made_too: Mapping[str, UpstreamAsset]
    told: list[AssetMaterialized]
    reads: list[UpstreamAsset] | None
    received: dict[str, UpstreamAsset] | None
    received_unfollowed: tuple[str, ...]


class Reply(NamedTuple):
    """How the call went."""

    value: bytes
    """The pickled result; of a failure the exception, or nothing where that cannot be pickled."""
    failure: Failure | None = None
    said: Said | None = None
    secrets: tuple[str, ...] = ()
    """Those that the body has loaded."""
    lines: tuple[bytes, ...] = ()
    """Events of the body that have found no other way."""
    cpu_seconds: float = 0.0
    peak_memory: int | None = None


_SCOPE = ("run", "flow", "root_run", "trace", "sampled", "deployment", "due", "cause", "caused_by", "hops")
_RUN = ("id", "dynamic_key", "attempt", "started", "log_prints", "map_index", "keeps", "_name")


def pack(run: TaskRun, args: tuple[Any, ...], kwargs: dict[str, Any], **run_facts: Any) -> Package:
    """What to send for an attempt of `run`; `run_facts` are such as it will have by then.

    Raises:
        CannotCross: something cannot be pickled; it is named.
    """
    lineage = run.lineage
    return Package(
        name=run.work.name,
        task=_pickled(run.work.name, "The code", run.work, pickled_task),
        arguments=_pickled_arguments(run, args, kwargs),
        surroundings={name: getattr(run.scope, name) for name in _SCOPE},
        run={name: getattr(run, name) for name in _RUN} | run_facts,
        inputs=None if lineage is None else lineage.inputs(),
        holding=holding.get(),
        secrets=known_secrets(),
    )


def known_secrets() -> tuple[str, ...]:
    secrets = sys.modules.get("flowtell.secrets")
    return () if secrets is None else secrets.known()


def seek_secrets(texts: tuple[str, ...]) -> None:
    """Both processes of a run take out what either has loaded."""
    if texts and texts != known_secrets():
        from flowtell import secrets

        secrets.seek(texts)


def _pickled_arguments(run: TaskRun, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    try:
        return dumps((args, kwargs))
    except Exception:
        for name, value in named(run.work, args, kwargs):
            _pickled(run.work.name, f"Argument '{name}'", value, dumps)
        raise


def _pickled(task: str, what: str, value: Any, pickled: Callable[[Any], bytes]) -> bytes:
    try:
        return pickled(value)
    except Exception as error:  # noqa: BLE001  # whatever a class's own pickling raises
        raise cannot_cross(task, what, value, error) from None


def cannot_cross(task: str, what: str, value: Any, error: Exception) -> CannotCross:
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return CannotCross(task, what, kind, str(error) or type(error).__name__)


class Unpicklable(Exception):
    """In place of an exception that cannot be pickled: its type and its text."""


def unpacked(reply: Reply) -> Any:
    """The result, or the exception raised again, with the traceback that it had there as its cause."""
    if reply.failure is None:
        return pickle.loads(reply.value)  # noqa: S301  # from a process that runs this flow's code
    told = reply.failure
    try:
        error: BaseException = pickle.loads(reply.value)  # noqa: S301  # as above
    except Exception:  # noqa: BLE001  # whatever its class does when it is made again
        error = Unpicklable(f"{told.type}: {told.message}")
    raise error from FarTraceback(told.traceback)
