"""flowtell tells you what your flows are doing, what data they made, and why something is late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowtell.engine.flows import flow
from flowtell.engine.tasks import materialize, task
from flowtell.version import VERSION

if TYPE_CHECKING:
    from flowtell.automations import when
    from flowtell.engine.assets import Asset
    from flowtell.engine.cache_policies import task_input_hash
    from flowtell.engine.concurrency import concurrency
    from flowtell.engine.context import bind
    from flowtell.engine.current import current_run
    from flowtell.engine.dask import DaskTaskRunner
    from flowtell.engine.flows import Flow
    from flowtell.engine.logs import get_run_logger
    from flowtell.engine.marks import allow_failure, unmapped
    from flowtell.engine.named_settings import Secret, Settings
    from flowtell.engine.pausing import apause_flow_run, pause_flow_run
    from flowtell.engine.processes import ProcessPoolTaskRunner
    from flowtell.engine.retries import exponential_backoff
    from flowtell.engine.run_input import RunInput
    from flowtell.engine.serving import serve
    from flowtell.engine.spans import trace_environment
    from flowtell.engine.statements import emit_event, measure
    from flowtell.engine.states import State
    from flowtell.engine.task_runners import ThreadPoolTaskRunner
    from flowtell.engine.tasks import Task
    from flowtell.rules import absent, blind, budget, deadline, failed, late, measured, stale, too_long
    from flowtell.schedules import cron, every

__version__ = VERSION

_LATER = {
    "Asset": "engine.assets",
    "Flow": "engine.flows",
    "DaskTaskRunner": "engine.dask",
    "ProcessPoolTaskRunner": "engine.processes",
    "RunInput": "engine.run_input",
    "Secret": "engine.named_settings",
    "Settings": "engine.named_settings",
    "State": "engine.states",
    "Task": "engine.tasks",
    "ThreadPoolTaskRunner": "engine.task_runners",
    "absent": "rules",
    "allow_failure": "engine.marks",
    "apause_flow_run": "engine.pausing",
    "bind": "engine.context",
    "concurrency": "engine.concurrency",
    "blind": "rules",
    "budget": "rules",
    "cron": "schedules",
    "current_run": "engine.current",
    "deadline": "rules",
    "emit_event": "engine.statements",
    "every": "schedules",
    "exponential_backoff": "engine.retries",
    "failed": "rules",
    "get_run_logger": "engine.logs",
    "late": "rules",
    "measure": "engine.statements",
    "measured": "rules",
    "pause_flow_run": "engine.pausing",
    "serve": "engine.serving",
    "stale": "rules",
    "task_input_hash": "engine.cache_policies",
    "too_long": "rules",
    "trace_environment": "engine.spans",
    "unmapped": "engine.marks",
    "when": "automations",
}
"""Where a name lives that is imported when it is first used: `import flowtell` stays within its budget."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'flowtell' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"flowtell.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "Asset",
    "DaskTaskRunner",
    "Flow",
    "ProcessPoolTaskRunner",
    "RunInput",
    "Secret",
    "Settings",
    "State",
    "Task",
    "ThreadPoolTaskRunner",
    "__version__",
    "absent",
    "allow_failure",
    "apause_flow_run",
    "bind",
    "blind",
    "budget",
    "concurrency",
    "cron",
    "current_run",
    "deadline",
    "emit_event",
    "every",
    "exponential_backoff",
    "failed",
    "flow",
    "get_run_logger",
    "late",
    "materialize",
    "measure",
    "measured",
    "pause_flow_run",
    "serve",
    "stale",
    "task",
    "task_input_hash",
    "too_long",
    "trace_environment",
    "unmapped",
    "when",
]
