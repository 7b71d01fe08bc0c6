"""What the runs inside one flow run share: its identity, the numbers of their names, and what they returned."""

from __future__ import annotations

import os
from _thread import allocate_lock  # what threading.Lock is, without loading threading
from collections.abc import Mapping
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flowtell.engine.provenance import Origins

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtell.engine.flow_runs import FlowRun
    from flowtell.engine.runs import Run
    from flowtell.engine.task_runners import TaskRunner, Workers

BACKFILL = "backfill"
"""The cause of a run that is of other days than today: rules say nothing of it. The flows that it calls have it too."""

_starting = allocate_lock()
_NONE: Mapping[str, Any] = MappingProxyType({})


class Scope:
    """The surroundings of a task run: one flow run, or none."""

    __slots__ = (
        "_numbers", "_workers", "cause", "caused_by", "deployment", "due", "flow", "hops", "open", "origins", "owner",
        "parameters", "root_run", "run", "runner", "sampled", "trace",
    )  # fmt: skip

    def __init__(
        self,
        *,
        run: str = "",
        flow: str = "",
        root_run: str = "",
        trace: str = "",
        sampled: bool = True,
        deployment: str = "",
        due: int | None = None,
        cause: str = "",
        caused_by: str = "",
        hops: int = 0,
        origins: Origins,
        runner: TaskRunner | None = None,
    ) -> None:
        self.run, self.flow, self.root_run = run, flow, root_run
        self.trace, self.sampled = trace, sampled
        self.deployment, self.due = deployment, due
        """Of the root run, where a deployment's schedule began it."""
        self.cause = cause
        """What the flow runs inside have for theirs: that a back-fill began it all."""
        self.caused_by, self.hops = caused_by, hops
        """What asked for the root run, where an automation did, and how many of those led to it."""
        self.origins = origins
        """Shared by all flow runs of one root, so that data is followed into a subflow and out again."""
        self.open: dict[str, Run] = {}
        """Runs inside this one that have not ended."""
        self.owner: Callable[[], FlowRun | None] | None = None
        """The flow run, while there is one: held weakly, as it holds its scope."""
        self.parameters: Mapping[str, Any] = _NONE
        """Of the flow run, once they have been checked."""
        self.runner = runner
        self._workers: Workers | None = None
        self._numbers: dict[str, count[int]] = {}

    def next_number(self, task: str) -> int | str:
        """How many runs of `task` this scope has seen before. From any thread."""
        try:
            return next(self._numbers[task])
        except KeyError:
            return next(self._numbers.setdefault(task, count()))

    def count_anew(self) -> None:
        """The next run of each task is the first again: for a test, to which what came before is nothing."""
        self._numbers = {}

    def workers(self) -> Workers:
        """The threads of this scope, started at the first `submit`, and anew in a forked child, which has none."""
        with _starting:
            if self._workers is None or self._workers.pid != os.getpid():
                from flowtell.engine.task_runners import ThreadPoolTaskRunner

                self._workers = (self.runner or ThreadPoolTaskRunner()).start()
            return self._workers

    def close(self) -> None:
        """Let idle threads go; what waits in the queue is cancelled."""
        workers, self._workers = self._workers, None
        if workers is not None and workers.pid == os.getpid():
            workers.close()


OUTSIDE = Scope(origins=Origins(hold=False))
"""Around task runs that no flow run surrounds."""
