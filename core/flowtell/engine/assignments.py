"""What a run that a schedule began is told of itself: its id, and the due time of which deployment it answers."""

from __future__ import annotations

from msgspec import Struct

from flowtell.ids import derived_id


class Assignment(Struct, frozen=True, kw_only=True):
    """One run that is to be, by an id that whoever reckons it finds the same."""

    run: str
    flow: str
    deployment: str
    due: int
    """µs since the epoch."""
    cause: str = "schedule"
    tags: tuple[str, ...] = ()
    """Of the deployment; the run has its flow's too."""


def run_of(environment: str, flow: str, deployment: str, due: int) -> str:
    """The id of the run that answers this due time of this deployment: there is one, however often it is begun."""
    return derived_id(due, "due", environment, flow, deployment, str(due))
