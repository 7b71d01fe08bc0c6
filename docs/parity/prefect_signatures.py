"""Prints the names, keywords and defaults that Prefect has, as JSON, by looking at the one that is installed.

For the Python of an environment that has Prefect in it: `make parity` runs it with that of `make prefect-environment` and
keeps what it prints as docs/parity/prefect.json. It knows nothing of flowtell.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import types
from typing import Any, TypeVar

CALLABLES = [
    "prefect:flow",
    "prefect:task",
    "prefect.assets:materialize",
    "prefect.flows:Flow.with_options",
    "prefect.tasks:Task.with_options",
    "prefect.flows:Flow.__call__",
    "prefect.tasks:Task.__call__",
    "prefect.tasks:Task.submit",
    "prefect.tasks:Task.map",
    "prefect.flows:Flow.to_deployment",
    "prefect.flows:Flow.serve",
    "prefect:serve",
    "prefect:pause_flow_run",
    "prefect:apause_flow_run",
    "prefect:suspend_flow_run",
    "prefect:resume_flow_run",
    "prefect:get_run_logger",
    "prefect.events:emit_event",
    "prefect:tags",
    "prefect:unmapped",
    "prefect:allow_failure",
    "prefect.tasks:exponential_backoff",
    "prefect.tasks:task_input_hash",
    "prefect.futures:PrefectFuture.result",
    "prefect.futures:PrefectFuture.wait",
    "prefect.futures:PrefectFuture.add_done_callback",
    "prefect.futures:PrefectFutureList.result",
    "prefect.futures:PrefectFutureList.wait",
    "prefect.futures:wait",
    "prefect.futures:as_completed",
    "prefect.futures:resolve_futures_to_results",
    "prefect.states:State.result",
    "prefect.states:get_state_exception",
    "prefect.states:raise_state_exception",
    "prefect.states:Completed",
    "prefect.states:Failed",
    "prefect.states:Cancelled",
    "prefect.states:Crashed",
    "prefect.transactions:transaction",
    "prefect.transactions:get_transaction",
    "prefect.transactions:Transaction.get",
    "prefect.transactions:Transaction.set",
    "prefect.artifacts:create_table_artifact",
    "prefect.artifacts:create_markdown_artifact",
    "prefect.artifacts:create_link_artifact",
    "prefect.artifacts:create_progress_artifact",
    "prefect.artifacts:update_progress_artifact",
    "prefect.artifacts:create_image_artifact",
    "prefect.concurrency.sync:concurrency",
    "prefect.concurrency.asyncio:concurrency",
    "prefect.concurrency.sync:rate_limit",
    "prefect.task_runners:ThreadPoolTaskRunner",
    "prefect.task_runners:ProcessPoolTaskRunner",
    "prefect.blocks.core:Block.load",
    "prefect.blocks.core:Block.save",
    "prefect.assets:Asset",
    "prefect.assets:AssetProperties",
    "prefect.assets:Asset.add_metadata",
    "prefect.assets:add_asset_metadata",
    "prefect.input:RunInput.with_initial_data",
    "prefect.variables:Variable.get",
    "prefect.variables:Variable.set",
    "prefect.deployments:run_deployment",
    "prefect.cache_policies:Inputs",
    "prefect.cache_policies:CachePolicy.configure",
    "prefect.cache_policies:CachePolicy.from_cache_key_fn",
    "prefect.cache_policies:CachePolicy.compute_key",
    "prefect.schedules:Cron",
    "prefect.schedules:Interval",
    "prefect.schedules:RRule",
    "prefect.testing.utilities:prefect_test_harness",
]
"""What takes keywords."""

NAMES = [
    "prefect",
    "prefect.states",
    "prefect.futures",
    "prefect.transactions",
    "prefect.artifacts",
    "prefect.cache_policies",
    "prefect.concurrency.sync",
    "prefect.concurrency.asyncio",
    "prefect.runtime.flow_run",
    "prefect.runtime.task_run",
    "prefect.runtime.deployment",
    "prefect.context",
    "prefect.variables",
    "prefect.blocks.system",
    "prefect.input",
    "prefect.task_runners",
    "prefect.assets",
    "prefect.schedules",
    "prefect.logging",
    "prefect.tasks",
    "prefect.flows:Flow",
    "prefect.tasks:Task",
    "prefect.futures:PrefectFuture",
    "prefect.states:State",
    "prefect.transactions:Transaction",
    "prefect.input:RunInput",
]
"""Modules and classes whose public names are told."""

_NOBODYS = frozenset({"isclassmethod", "ismethod", "isstaticmethod", "model_validate_list", "reset_fields"})
"""Members that are there for Prefect's own classes to be made."""


def found(path: str) -> Any:
    """What stands at `module:name.name`."""
    module, _, names = path.partition(":")
    thing: Any = importlib.import_module(module)
    for name in names.split(".") if names else ():
        thing = getattr(thing, name)
    return thing


def dotted(path: str) -> str:
    return path.replace(":", ".")


def parameters(path: str) -> list[dict[str, str]]:
    """Each keyword with its default as text; none where it has to be given. `self` and what has no name are left out."""
    told = []
    for one in signature(found(path)).parameters.values():
        if one.name in ("self", "cls") or one.name.startswith("_") or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        named = {"name": one.name}
        if one.default is not one.empty:
            named["default"] = default(one.default)
        told.append(named)
    return told


def signature(thing: Any) -> inspect.Signature:
    """Of a pydantic model its fields, though its class takes anything."""
    from pydantic import BaseModel

    if isinstance(thing, type) and issubclass(thing, BaseModel):
        empty = inspect.Parameter.empty
        fields = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=empty if field.is_required() else field.default)
            for name, field in thing.model_fields.items()
        ]
        return inspect.Signature(fields)
    return inspect.signature(thing)


def default(value: Any) -> str:
    """As it would be written: of a class that says that nothing was given, the word for it."""
    if getattr(value, "__name__", "") in ("NotSet", "NoneType") or repr(value) in ("PydanticUndefined", "<factory>"):
        return "not set"
    if isinstance(value, type):
        return value.__name__
    return re.sub(r"<([\w.]+): .*>", r"\1", repr(value))


def names(path: str) -> list[str]:
    """What is public in a module or class and its own."""
    thing = found(path)
    if isinstance(thing, type):
        return class_names(thing)
    if (listed := getattr(thing, "__all__", None)) is not None:
        return sorted(name for name in listed if not name.startswith("_"))
    return sorted(name for name, value in vars(thing).items() if is_own(name, value, thing.__name__))


def class_names(kind: type) -> list[str]:
    from pydantic import BaseModel

    models = set(dir(BaseModel)) if issubclass(kind, BaseModel) else set()
    fields = set(getattr(kind, "model_fields", ()))
    return sorted(name for name in {*dir(kind), *fields} if not name.startswith("_") and name not in models | _NOBODYS)


def is_own(name: str, value: Any, module: str) -> bool:
    if name.startswith("_") or isinstance(value, types.ModuleType | TypeVar):
        return False
    if isinstance(value, type) or callable(value):
        return bool(getattr(value, "__module__", "") == module)
    return type(value).__module__ == module


def surface() -> dict[str, Any]:
    import prefect

    return {
        "package": "prefect",
        "version": prefect.__version__,
        "source": "inspect.signature and dir() of the installed package, by docs/parity/prefect_signatures.py",
        "python": ".".join(map(str, sys.version_info[:2])),
        "callables": {dotted(path): parameters(path) for path in CALLABLES},
        "names": {dotted(path): names(path) for path in NAMES},
    }


if __name__ == "__main__":
    json.dump(surface(), sys.stdout, indent=1)
    sys.stdout.write("\n")
