"""Prefect's other events: artifacts, heartbeats, deleted deployments, a team's own, and types that nobody here has seen."""

from __future__ import annotations

from typing import Any, Final

from flowtell import events as e
from flowtell.events import TYPES, Event, UserEvent
from flowtell_sources.prefect.documents import Message
from flowtell_sources.prefect.identity import fact_id, moment

HEARTBEAT: Final = "prefect.flow-run.heartbeat"
DEPLOYMENT_DELETED: Final = "prefect.deployment.deleted"
ARTIFACTS: Final = ("prefect.artifact.created", "prefect.artifact.updated")

SURROUNDINGS: Final = (
    "prefect.work-pool.",
    "prefect.work-queue.",
    "prefect.worker.",
    "prefect.concurrency-limit.",
    "prefect.deployment.",
    "prefect.flow.",
)
"""What these tell is read from the REST API, where it is whole; but for what was deleted."""

_DEPLOYMENT: Final = "prefect.deployment."
_SAID_ELSEWHERE: Final = (*SURROUNDINGS, "prefect.artifact-collection.", "prefect.log.")


def other_events(message: Message, facts: dict[str, Any]) -> list[Event]:
    """The events that one of Prefect's is; none where it says what is read elsewhere.

    Args:
        message: its event.
        facts: fields of the run and task run that it belongs to.
    """
    at = moment(message.occurred)
    if at is None:
        return []
    if message.event == DEPLOYMENT_DELETED:
        return [_deployment_removed(message, at)]
    if message.event.startswith(_SAID_ELSEWHERE):
        return []
    made: dict[str, Any] = {"id": fact_id(at, "event", message.id), "time": at, **facts}
    if message.event == HEARTBEAT:
        return [e.FlowRunHeartbeat(**made)]
    if message.event in ARTIFACTS:
        key = message.payload.get("key") or message.resource.get("prefect.resource.name") or ""
        return [e.ArtifactCreated(key=str(key), kind=str(message.payload.get("type") or ""), **made)]
    return [_own(message, made)]


def deleted_deployment(message: Message) -> str:
    """Prefect's id of the deployment whose end a message tells; empty where it tells of none."""
    return message.subject.removeprefix(_DEPLOYMENT) if message.event == DEPLOYMENT_DELETED else ""


def _deployment_removed(message: Message, at: int) -> Event:
    """Of what is not there any more no list tells: this is heard of after an outage, too."""
    external = deleted_deployment(message)
    return e.DeploymentRemoved(
        id=fact_id(at, "deployment", external, "removed"),
        time=at,
        flow=message.related_name("flow"),
        deployment=str(message.resource.get("prefect.resource.name", "")),
        external_id=external,
    )


def _own(message: Message, made: dict[str, Any]) -> Event:
    """Under its own name, unless one of ours has that name."""
    taken = message.event in TYPES or "." not in message.event
    name = f"prefect.event.{message.event}" if taken else message.event
    payload = dict(message.payload)
    return UserEvent(type=name, resource=dict(message.resource), payload=payload, related=message.related, **made)
