"""Incidents as rules make them of what a harness has seen: judged by the real plugin, over a log that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowtell import bus
from flowtell.events import Event
from flowtell.plugin import Factory
from flowtell.testing.clock import FakeClock

if TYPE_CHECKING:
    from flowtell.testing.plugin_harness import PluginHarness

_PLUGIN: Final = "alerts"
_TOLD: Final = ("incident.opened", "incident.updated", "incident.resolved")
_LONGEST_STEP: Final = 3_600_000_000
_STEP: Final = 60_000_000
"""µs between two looks."""
_LAST_LOOKS: Final = 2
"""After the end, a few seconds apart: the plugin waits for what may be on its way."""


class SeenIncident(msgspec.Struct, frozen=True, kw_only=True):
    """One period in which a rule did not hold."""

    rule: str
    """Its kind, such as `late`."""
    subject: str
    """The flow, deployment, asset or event that it is about; a deployment with its flow, as in `nightly/berlin`."""
    flow: str
    """Whose rule it is; empty for an asset's."""
    severity: str
    reason: str
    since: datetime
    resolved: bool
    runs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.rule} of {self.subject}: {self.reason}{' (resolved)' if self.resolved else ''}"


def incidents(events: Sequence[Event], start: int, until: int) -> list[SeenIncident]:
    """In the order in which they opened, from the moment `start` to `until`, in µs.

    Raises:
        ModuleNotFoundError: flowtell-alerts is not installed.
    """
    from flowtell.testing.plugin_harness import PluginHarness  # which opens a store, and loads its libraries

    clock = FakeClock(start)
    with (
        tempfile.TemporaryDirectory(prefix="flowtell-judged-") as folder,
        PluginHarness(_factory(), folder, name=_PLUGIN, clock=clock, settings=bus.settings().plugin(_PLUGIN)) as stage,
    ):
        ahead = list(events)
        while clock.now < until or ahead:
            clock.now = max(min(_next_look(stage, clock.now, ahead), until), clock.now)
            is_last = clock.now >= until  # a child process has the real clock: what it told is of another day, and counts
            stage.append([event for event in ahead if is_last or event.time <= clock.now])
            ahead = [event for event in ahead if not is_last and event.time > clock.now]
            stage.tick()
        for _ in range(_LAST_LOOKS):
            stage.tick(3.0)
        return _seen(stage.log(*_TOLD))


def _factory() -> Factory:
    for found in entry_points(group="flowtell.plugins", name=_PLUGIN):
        factory: Factory = found.load()
        return factory
    raise ModuleNotFoundError("rules are judged by flowtell-alerts, which is not installed: pip install flowtell-alerts")


def _next_look(stage: PluginHarness, now: int, ahead: Sequence[Event]) -> int:
    """At the next event, or when the plugin has something to do; at least once an hour."""
    idle_until: Any = getattr(stage.runner.plugin, "idle_until", None)
    quiet = idle_until(now) if idle_until is not None else now + _STEP
    wanted = [moment for moment in (quiet, min((event.time for event in ahead), default=None)) if moment is not None]
    step = now + 1_000_000 if not wanted or min(wanted) <= now else min(wanted)
    return min(step, now + _LONGEST_STEP)


def _seen(told: Sequence[Any]) -> list[SeenIncident]:
    last: dict[str, Any] = {}
    opened: dict[str, Any] = {}
    for event in told:
        opened.setdefault(event.incident, event)
        last[event.incident] = event
    return [_incident(event, last[identifier]) for identifier, event in opened.items()]


def _incident(opened: Any, last: Any) -> SeenIncident:
    subject = opened.subject.name if opened.subject is not None else ""
    is_flows = opened.subject is not None and opened.subject.kind in ("flow", "deployment")
    return SeenIncident(
        rule=opened.rule.kind if opened.rule is not None else "",
        subject=subject,
        flow=opened.flow or (subject.partition("/")[0] if is_flows else ""),
        severity=last.severity or opened.severity,
        reason=opened.reason,
        since=datetime.fromtimestamp((opened.since or opened.time) / 1e6, UTC),
        resolved=last.type == "incident.resolved",
        runs=last.runs or opened.runs,
    )


__all__ = ["SeenIncident", "incidents"]
