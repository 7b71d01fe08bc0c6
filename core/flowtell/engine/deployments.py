"""A flow offered under a name, with parameters and schedules: checked when it is made, declared as an event."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from flowtell.bus import emit
from flowtell.engine.capture import captured
from flowtell.engine.declarations import declare_flow
from flowtell.errors import BadDeployment, ParameterError
from flowtell.events import DeploymentDeclared, Schedule
from flowtell.ids import new_id
from flowtell.schedules import checked, cron, every

if TYPE_CHECKING:
    from datetime import timedelta

    from flowtell.engine.flows import Flow


class DeploymentOptions(TypedDict, total=False):
    """What `to_deployment` and `.serve` take beside the name, in Prefect's spelling where it has one."""

    schedule: Schedule | str | None
    """`cron(...)`, `every(...)` or a cron line, which then is in UTC."""
    schedules: Iterable[Schedule | str] | None
    cron: str | None
    """A cron line in UTC; `schedule=cron(...)` says more."""
    interval: str | float | timedelta | None
    parameters: Mapping[str, Any] | None
    """What the flow is called with; values that JSON can hold, as they travel to the run's process."""
    tags: Iterable[str] | None
    description: str | None
    version: str | None
    paused: bool
    """Declared and served, and nothing is started."""
    automations: Iterable[Mapping[str, Any]] | None
    """Events that begin runs of it, besides its schedules: `when("orders.uploaded")`."""
    limit: int | None
    """How many runs may be open at a time; default: one, or any number where a schedule's overlap is `allow`."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Made by `Flow.to_deployment`; given to `serve`."""

    flow: Any
    name: str
    schedules: tuple[Schedule, ...] = ()
    parameters: dict[str, Any] = {}
    tags: tuple[str, ...] = ()
    description: str = ""
    version: str = ""
    paused: bool = False
    limit: int | None = None
    automations: tuple[dict[str, Any], ...] = ()

    def __repr__(self) -> str:
        return f"<deployment {self.full_name!r}>"

    @property
    def full_name(self) -> str:
        """Flow and deployment: what tells it apart from all others of an environment."""
        return f"{self.flow.name}/{self.name}"

    def declare(self) -> None:
        """Say that it exists, and when it is due: lateness can then be told by whoever reads, should this process die."""
        declare_flow(self.flow)
        now = time_ns() // 1000
        emit(
            DeploymentDeclared(
                id=new_id(now), time=now, flow=self.flow.name, deployment=self.name, version=self.version,
                description=self.description, schedules=self.schedules, parameters=captured(self.parameters),
                tags=self.tags, owners=self.flow.owners, limit=self.limit, paused=self.paused, ready=True,
                automations=self.automations,
            )
        )  # fmt: skip


_OPTIONS = DeploymentOptions.__annotations__


def deployment_of(flow: Flow[..., Any], name: str, options: Mapping[str, Any]) -> Deployment:
    """A checked deployment.

    Raises:
        BadDeployment: the name, parameters, limit or schedules cannot be.
        BadSchedule: one schedule cannot be evaluated.
        TypeError: an option that there is not.
    """
    full_name = f"{flow.name}/{name}"
    for option in options:
        if option not in _OPTIONS:
            raise TypeError(f"a deployment has no option {option!r}; it has {', '.join(_OPTIONS)}")
    if not name or name != name.strip() or any(character in name for character in "/\n\t"):
        raise BadDeployment(full_name, "its name is empty, or has a slash, line break or blank at an end")
    limit = options.get("limit")
    if limit is not None and limit < 1:
        raise BadDeployment(full_name, f"a limit of {limit} lets nothing start; use paused=True")
    schedules = _schedules(full_name, options)
    return Deployment(
        flow=flow,
        name=name,
        schedules=schedules,
        parameters=_parameters(full_name, flow, options.get("parameters") or {}, is_scheduled=bool(schedules)),
        tags=tuple(sorted(set(options.get("tags") or ()))),
        description=options.get("description") or flow.description,
        version=options.get("version") or flow.version,
        paused=bool(options.get("paused")),
        limit=limit,
        automations=_automations(full_name, options.get("automations") or ()),
    )


def _automations(full_name: str, given: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """As tables of a file, tried as the server will read them."""
    from flowtell.automations import automation_of

    tables = tuple(dict(one) for one in given)
    names = [automation_of({"name": "when", "run": full_name, **table}, full_name).name for table in tables]
    for name in names:
        if name != "when" and names.count(name) > 1:
            raise BadDeployment(full_name, f"two of its automations are '{name}'")
    return tables


def _schedules(full_name: str, options: Mapping[str, Any]) -> tuple[Schedule, ...]:
    given = [*(options.get("schedules") or ()), options.get("schedule"), options.get("cron")]
    if options.get("interval") is not None:
        given.append(every(options["interval"]))
    found = tuple(cron(one) if isinstance(one, str) else checked(one) for one in given if one is not None)
    ids = [schedule.id for schedule in found]
    for one in ids:
        if ids.count(one) > 1:
            raise BadDeployment(full_name, f"two of its schedules are '{one}'; leave one out, or give each an id")
    return found


def _parameters(full_name: str, flow: Flow[..., Any], given: Mapping[str, Any], *, is_scheduled: bool) -> dict[str, Any]:
    """As they arrive in the run's process, tried against the flow's signature now rather than at two in the morning.

    Without a schedule others begin its runs, and bring the parameters that are missing.
    """
    try:
        arrived: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(given)))
        if is_scheduled or not _lacks_parameters(flow, arrived):
            flow.parameters.fit((), dict(arrived))
    except ParameterError as error:
        raise BadDeployment(full_name, str(error)) from error
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise BadDeployment(full_name, f"its parameters are not JSON: {error}") from error
    return arrived


def _lacks_parameters(flow: Flow[..., Any], given: Mapping[str, Any]) -> bool:
    """Whether all that are given are the flow's, and some that it needs are not."""
    bound = inspect.signature(flow.fn)
    try:
        bound.bind_partial(**given)
    except TypeError:
        return False
    try:
        bound.bind(**given)
    except TypeError:
        return True
    return False
