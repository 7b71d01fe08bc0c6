"""What a run that no call began is told of itself: its id, and which due time it answers or which run it is part of."""

from __future__ import annotations

from msgspec import Struct

from flowtell.ids import derived_id


class Outer(Struct, frozen=True, kw_only=True):
    """The run of another process that a run is part of, and whose trace it joins."""

    run: str
    root_run: str
    trace: str
    sampled: bool = True


class Assignment(Struct, frozen=True, kw_only=True):
    """One run that is to be."""

    run: str
    flow: str
    deployment: str = ""
    due: int | None = None
    """µs since the epoch."""
    cause: str = "schedule"
    tags: tuple[str, ...] = ()
    """Of the deployment; the run has its flow's too."""
    outer: Outer | None = None
    caused_by: str = ""
    """The event that asked for it."""
    hops: int = 0
    """How many automations, one after the other, led to it."""


def run_of(environment: str, flow: str, deployment: str, due: int) -> str:
    """The id of the run that answers this due time of this deployment: there is one, however often it is begun."""
    return derived_id(due, "due", environment, flow, deployment, str(due))
