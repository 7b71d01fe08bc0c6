"""The names of `prefect.runtime`, so that a script changes only its import: `from flowtell.runtime import flow_run`.

What the run around the caller is, by attributes that are looked up when they are read. Outside of a run they are None, or
empty where Prefect's are. `flowtell.current_run()` tells the same, typed, and at once.
"""

from __future__ import annotations

from flowtell.runtime import deployment, flow_run, task_run

__all__ = ["deployment", "flow_run", "task_run"]
