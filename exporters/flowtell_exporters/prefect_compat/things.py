"""What exists besides runs, as structs that are kept as JSON: the newest word of each."""

from __future__ import annotations

from msgspec import Struct

from flowtell import events as e
from flowtell_exporters.subjects import clean_label


class Thing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`at` and `event` say how new the word is."""

    at: int = 0
    event: str = ""
    removed: bool = False

    @property
    def age(self) -> tuple[int, str]:
        return self.at, self.event


class Deployment(Thing, frozen=True, kw_only=True, omit_defaults=True):
    external_id: str = ""
    paused: bool = False
    ready: bool | None = None
    pool: str = ""
    queue: str = ""
    tags: str = ""


class Capacity(Thing, frozen=True, kw_only=True, omit_defaults=True):
    """A pool or a queue."""

    type: str = ""
    paused: bool = False
    status: str = ""


class RunTime(Thing, frozen=True, kw_only=True, omit_defaults=True):
    """How long the latest run of a flow and a deployment took, in seconds."""

    seconds: float = 0.0


class Total(Struct, omit_defaults=True):
    """How many runs were ever heard of, and what was left out since."""

    runs: int = 0
    left_out: dict[str, int] = {}


def deployment(event: e.DeploymentDeclared) -> Deployment:
    return Deployment(
        at=event.time,
        event=event.id,
        external_id=event.external_id,
        paused=event.paused,
        ready=event.ready,
        pool=clean_label(event.pool),
        queue=clean_label(event.queue),
        tags=clean_label(",".join(sorted(event.tags))),
    )


def capacity(event: e.CapacityObserved) -> Capacity:
    return Capacity(
        at=event.time,
        event=event.id,
        type=clean_label(event.pool_type),
        paused=event.paused,
        status=clean_label(event.status.upper().replace(" ", "_")),
    )
