"""`DaskTaskRunner`: bodies of submitted tasks on the workers of a Dask cluster, on this machine or many.

`distributed` is imported when the first task is submitted: `pip install "flowtell[dask]"`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowtell.engine.elsewhere import drive_queued
from flowtell.engine.task_runners import Workers
from flowtell.errors import DaskMissing

if TYPE_CHECKING:
    from flowtell.engine.crossing import Package
    from flowtell.engine.dask_flights import Flight, Flights
    from flowtell.engine.task_runs import TaskRun

KIND: Final = "dask"
_AT_A_TIME: Final = 128
"""Task runs that a flow run has at the cluster at least, so that no worker waits for the next one."""


class DaskTaskRunner(NamedTuple):
    """Runs the bodies of submitted tasks on Dask: at a scheduler's `address`, or on a cluster made for each flow run."""

    address: str | None = None
    """Of a scheduler that runs, such as `tcp://10.0.0.7:8786`; it stays when the flow run ends."""
    cluster_class: Any = None
    """What makes the cluster without an address: a class or function; None is `distributed.LocalCluster`."""
    cluster_kwargs: Mapping[str, Any] | None = None
    adapt_kwargs: Mapping[str, Any] | None = None
    """What the cluster's `adapt` is called with, such as `{"maximum": 20}`; None: it keeps its size."""
    client_kwargs: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        return KIND

    def start(self) -> DaskWorkers:
        return DaskWorkers(self)


class DaskWorkers(Workers):
    """The cluster as one flow run has it, and the threads that drive its task runs: one for each that is at the cluster."""

    def __init__(self, runner: DaskTaskRunner) -> None:
        super().__init__(_AT_A_TIME)
        self._runner = runner
        self._connecting = threading.Lock()
        self._flights: Flights | None = None
        self._over = False

    def has_room(self) -> bool:
        """Nobody knows: each run waits until a worker says that it has begun."""
        return False

    def drive(self, run: TaskRun) -> Any:
        return drive_queued(run, self._send)

    def close(self) -> None:
        """What waits at the cluster is taken back, bodies are interrupted, and a cluster of one's own ends."""
        with self._connecting:
            self._over = True
            flights, self._flights = self._flights, None
        super().close()
        if flights is not None:
            flights.close()

    def _send(self, run: TaskRun, package: Package) -> Flight:
        with self._connecting:
            if self._over:
                raise KeyboardInterrupt
            if self._flights is None:
                self._flights = _connected(self._runner)
            flights = self._flights
        self._most = max(_AT_A_TIME, 2 * flights.threads())
        return flights.send(run, package)


def _connected(runner: DaskTaskRunner) -> Flights:
    try:
        import distributed
    except ImportError as error:
        raise DaskMissing from error
    from flowtell.engine.dask_flights import Flights

    cluster = None
    if runner.address is None:
        made = runner.cluster_class or distributed.LocalCluster
        own = {} if runner.cluster_class else {"dashboard_address": "127.0.0.1:0"}
        cluster = made(**{**own, **(runner.cluster_kwargs or {})})
        if runner.adapt_kwargs is not None:
            cluster.adapt(**runner.adapt_kwargs)
    connect: Any = distributed.Client
    client = connect(cluster or runner.address, set_as_default=False, **(runner.client_kwargs or {}))
    return Flights(client, cluster)
