"""What somebody did to a run, as two events: that it was asked for, and what came of it."""

from __future__ import annotations

import time
from typing import Any

from flowtell.events import ActionDone, ActionRequested
from flowtell.ids import new_id
from flowtell.store.reading import Run


def action_on(
    run: Run, kind: type[ActionRequested | ActionDone], action: str, actor: str, arguments: dict[str, Any], **more: Any
) -> ActionRequested | ActionDone:
    """The event. `more` are fields of its kind."""
    now = time.time_ns() // 1000
    return kind(
        id=new_id(now), time=now, run=run.id, flow=run.flow, deployment=run.deployment, due=run.due, action=action,
        target=run.id, actor=actor, arguments=arguments, **more,
    )  # fmt: skip


__all__ = ["action_on"]
