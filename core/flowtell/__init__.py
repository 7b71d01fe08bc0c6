"""flowtell tells you what your flows are doing, what data they made, and why something is late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowtell.engine.flows import flow
from flowtell.engine.tasks import materialize, task
from flowtell.version import VERSION

if TYPE_CHECKING:
    from flowtell.engine.assets import Asset
    from flowtell.engine.context import bind
    from flowtell.engine.current import current_run
    from flowtell.engine.logs import get_run_logger
    from flowtell.engine.marks import allow_failure, unmapped
    from flowtell.engine.retries import exponential_backoff
    from flowtell.engine.statements import emit_event, measure
    from flowtell.engine.task_runners import ThreadPoolTaskRunner
    from flowtell.rules import failed, too_long

__version__ = VERSION

_LATER = {
    "Asset": "engine.assets",
    "ThreadPoolTaskRunner": "engine.task_runners",
    "allow_failure": "engine.marks",
    "bind": "engine.context",
    "current_run": "engine.current",
    "emit_event": "engine.statements",
    "exponential_backoff": "engine.retries",
    "failed": "rules",
    "get_run_logger": "engine.logs",
    "measure": "engine.statements",
    "too_long": "rules",
    "unmapped": "engine.marks",
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
    "ThreadPoolTaskRunner",
    "__version__",
    "allow_failure",
    "bind",
    "current_run",
    "emit_event",
    "exponential_backoff",
    "failed",
    "flow",
    "get_run_logger",
    "materialize",
    "measure",
    "task",
    "too_long",
    "unmapped",
]
