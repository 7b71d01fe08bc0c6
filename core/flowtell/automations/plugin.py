"""The plugin `automations`: begins a run when an event matches, or when none has come for too long.

A projection, so that it sees payloads, and a firing moves with the cursor: what was handed over is never forgotten and a
run's id derives from automation and event. `handle` only writes down what is to be; `tick`, which no reading command calls,
asks those who serve, and hears what became of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import delete, insert, select

from flowtell.automations import tables
from flowtell.automations.filling import fields_of, filled
from flowtell.automations.matching import fits, mismatch
from flowtell.automations.reading import stated_in_code
from flowtell.automations.statement import Automation, read_automations
from flowtell.errors import FlowtellError, NoSuchField, UnknownKey
from flowtell.events import ActionDone, ActionRequested, DeploymentDeclared, DeploymentRemoved, Event, Failure
from flowtell.ids import derived_id, moment_of
from flowtell.plugin import BasePlugin, Context
from flowtell.wanted_runs import WantedRun, Wants

RUN: Final = "run"
PAUSE, RESUME = "automations.pause", "automations.resume"
_OVERTIME: Final = 5_000_000
"""µs beyond a want's end in which a word on it may still come."""
_UNHEARD: Final = 5_000_000
"""µs after which it is told that nobody serves the deployment."""
_WEEK: Final = 7 * 86_400_000_000


class State(msgspec.Struct, kw_only=True):
    """What an automation remembers, see `tables.states`."""

    paused: int = 0
    fired: int = 0
    runs: int = 0
    skipped: int = 0
    seen: int = 0
    event: str = ""
    told: int = 0


class Firing(msgspec.Struct, kw_only=True):
    """A run that was asked for and that nobody has begun yet, see `tables.firings`."""

    run: str
    automation: str
    event: str
    cause: str
    environment: str
    target: str
    parameters: str
    hops: int
    time: int
    until: int
    state: str = "waiting"
    problem: str = ""


def create(settings: Mapping[str, Any]) -> Automations:
    """The factory that the entry point names.

    Raises:
        UnknownKey: anything but `path`, the file whose `[[automations]]` hold: the configuration's own unless one is named.
        BadValue: an automation in it cannot be used.
    """
    for key in settings:
        if key != "path":
            raise UnknownKey(key, "[plugin.automations]", "path")
    return Automations(str(settings.get("path", "")))


class Automations(BasePlugin):
    """Those of the configuration's file, read again when it changes, and those that deployments state."""

    tables = tables.metadata
    tick_seconds = 0.25
    irreplaceable = "the runs that it began would be begun anew"

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._of_file: tuple[Automation, ...] = read_automations(path) if path else ()
        self._of_code: dict[tuple[str, str, str], tuple[Automation, ...]] = {}
        self._all: dict[str, Automation] = {}
        self._by_type: dict[str, tuple[Automation, ...]] = {}
        self._states: dict[str, State] = {}
        self._changed: set[str] = set()
        self._waiting: dict[str, Firing] = {}
        self._asked: set[str] = set()
        """Runs that those who serve have been asked for since this plugin was opened."""
        self._settled: dict[str, Firing] = {}
        """Whose words can go, once what they say is kept."""
        self._told: set[str] = set()
        self._swept = 0

    def open(self, context: Context) -> None:
        super().open(context)
        for row in context.read(select(tables.declared)):
            self._of_code[row.environment, row.flow, row.deployment] = self._stated(msgspec.json.decode(row.tables), row)
        for row in context.read(select(tables.states)):
            fields = dict(row._mapping)  # SQLAlchemy's public name for it
            name = fields.pop("automation")
            self._states[name] = State(**fields)
        for row in context.read(select(tables.firings).where(tables.firings.c.state == "waiting")):
            self._waiting[row.run] = Firing(**row._mapping)
        self._put_together()

    # --- which there are ----------------------------------------------------------------------------------------------

    def _stated(self, given: list[Any], of: Any) -> tuple[Automation, ...]:
        """Those of a deployment. What another version of flowtell states and this one cannot use is left out, and told."""
        found, problems = stated_in_code(given, of.flow, of.deployment)
        for error in problems:
            self.context.logger.warning("an automation of %s/%s is left out: %s", of.flow, of.deployment, error)
        return tuple(found)

    def _put_together(self) -> None:
        """By name; a file goes before code."""
        every = (*self._of_file, *(one for key in sorted(self._of_code) for one in self._of_code[key]))
        self._all, self._by_type = {}, {}
        for one in every:
            if self._all.setdefault(one.name, one) is not one and one.origin != self._all[one.name].origin:
                self.context.logger.warning("automation '%s' of %s is left out: another has its name", one.name, one.origin)
            self._states.setdefault(one.name, State())

    def _read_again(self) -> None:
        """A file that is changed holds at once; one that cannot be used leaves things as they are."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._of_file = read_automations(self._path)
        except FlowtellError as error:
            self.context.logger.warning("automations stay as they were: %s", error)
            return
        self._put_together()

    def _declare(self, event: DeploymentDeclared | DeploymentRemoved) -> None:
        key = (event.environment, event.flow, event.deployment)
        stated = event.automations if isinstance(event, DeploymentDeclared) else ()
        if not stated and key not in self._of_code:
            return
        table = tables.declared.c
        of_key = (table.environment == key[0], table.flow == key[1], table.deployment == key[2])
        self.context.write(delete(tables.declared).where(*of_key))
        self._of_code.pop(key, None)
        if stated:
            row = dict(zip(("environment", "flow", "deployment"), key, strict=True))
            self.context.write(insert(tables.declared).values(**row, tables=msgspec.json.encode(stated).decode()))
            self._of_code[key] = self._stated(list(stated), event)
        self._put_together()

    # --- events -------------------------------------------------------------------------------------------------------

    def handle(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, DeploymentDeclared | DeploymentRemoved):
                self._declare(event)
            elif isinstance(event, ActionRequested) and event.action in (PAUSE, RESUME):
                self._pause(event)
            for automation in self._of_type(event.type):
                if not mismatch(automation.when, event):
                    self._match(automation, event)
        self._save()

    def _of_type(self, type: str) -> tuple[Automation, ...]:
        """Most events are of a type that no automation waits for: one look tells."""
        found = self._by_type.get(type)
        if found is None:
            every = (one for one in self._all.values() if fits(one.when.event or one.when.absent, type))
            found = self._by_type[type] = tuple(every)
        return found

    def _match(self, automation: Automation, event: Event) -> None:
        state = self._states[automation.name]
        if automation.when.absent:
            if event.time > state.seen:
                state.seen, state.event = event.time, event.id
                self._changed.add(automation.name)
        elif automation.active and not state.paused:
            self._fire(automation, state, event, event.time, fields_of(event))

    def _pause(self, event: ActionRequested) -> None:
        name, is_known = event.target, event.target in self._states
        if is_known:
            self._states[name].paused = int(event.action == PAUSE)
            self._changed.add(name)
        error = None if is_known else Failure(type="NoSuchAutomation", message=f"There is no automation '{name}'.")
        outcome = "failed" if error else "paused" if event.action == PAUSE else "resumed"
        done = ActionDone(action=event.action, target=name, actor=event.actor, outcome=outcome, error=error)
        self.context.emit(done, cause=event)

    # --- a run is asked for -------------------------------------------------------------------------------------------

    def _fire(self, automation: Automation, state: State, cause: Event, moment: int, fields: Mapping[str, Any]) -> None:
        """Write down that a run is to be, or why it is not."""
        self._changed.add(automation.name)
        now = self.context.clock()
        if now - moment > automation.max_age * 1e6 or self._is_cooling(automation, state, moment):
            state.skipped += 1
            return
        environment = self._environment(automation, cause)
        run = derived_id(moment_of(cause.id) or moment, "automation", environment, automation.name, automation.run, cause.id)
        if run in self._waiting or self._is_known(run):
            return
        hops = max(cause.hops, self._hops_of(cause)) + 1
        if hops > automation.max_hops:
            state.skipped += 1
            self._say_stopped(automation, run, cause, hops)
            return
        try:
            parameters = filled(automation.parameters, fields)
        except NoSuchField as error:
            self._say_failed_at_once(automation, run, cause, hops, error)
            return
        state.fired, state.runs = max(state.fired, moment), state.runs + 1
        self._want(automation, run, cause, hops, parameters)

    @staticmethod
    def _is_cooling(automation: Automation, state: State, moment: int) -> bool:
        """Events of several writers come in any order: one may be older than the one that began a run."""
        return bool(state.fired) and abs(moment - state.fired) < automation.cooldown * 1e6

    def _want(self, automation: Automation, run: str, cause: Event, hops: int, parameters: Any) -> None:
        now = self.context.clock()
        requested = self._action(ActionRequested, automation, run, cause, hops, arguments={"deployment": automation.run})
        self.context.emit(requested, cause=_with_hops(cause, hops), name=automation.name)
        firing = Firing(
            run=run, automation=automation.name, event=cause.id, cause=_requested_id(self.name, cause, automation.name),
            environment=self._environment(automation, cause), target=automation.run,
            parameters=msgspec.json.encode(parameters).decode(), hops=hops, time=now,
            until=now + int(automation.wait * 1e6),
        )  # fmt: skip
        self._waiting[run] = firing
        self.context.write(insert(tables.firings).values(**msgspec.structs.asdict(firing)))

    def _environment(self, automation: Automation, cause: Event) -> str:
        return automation.environment or cause.environment or self.context.environment

    def _action(self, kind: type[Any], automation: Automation, run: str, cause: Event, hops: int, **more: Any) -> Any:
        flow, _, deployment = automation.run.partition("/")
        return kind(
            run=run, flow=flow, deployment=deployment, environment=self._environment(automation, cause), action=RUN,
            target=run or automation.run, actor=f"automation:{automation.name}", hops=hops, **more,
        )  # fmt: skip

    def _say_stopped(self, automation: Automation, run: str, cause: Event, hops: int) -> None:
        bound = f"max_hops of '{automation.name}' is {automation.max_hops}"
        words = f"{hops - 1} automations led here one after the other, and {bound}."
        error = Failure(type="TooManyHops", message=words)
        self.context.logger.warning("no run of %s: %s", automation.run, words)
        done = self._action(ActionDone, automation, "", cause, hops, outcome="stopped", error=error)
        self.context.emit(done, cause=_with_hops(cause, hops), name=automation.name)

    def _say_failed_at_once(self, automation: Automation, run: str, cause: Event, hops: int, error: NoSuchField) -> None:
        failure = Failure(type="NoSuchField", message=str(error))
        self.context.logger.warning("no run of %s by automation '%s': %s", automation.run, automation.name, error)
        done = self._action(ActionDone, automation, "", cause, hops, outcome="failed", error=failure)
        self.context.emit(done, cause=_with_hops(cause, hops), name=automation.name)

    def _is_known(self, run: str) -> bool:
        return bool(self.context.read(select(tables.firings.c.run).where(tables.firings.c.run == run)))

    def _hops_of(self, event: Event) -> int:
        """Of the run that it is about: of a run that was killed somebody else tells, who knows of no hops."""
        runs = [run for run in {event.run, event.root_run} if run]
        if not runs:
            return 0
        rows = self.context.read(select(tables.firings.c.hops).where(tables.firings.c.run.in_(runs)))
        return max((row.hops for row in rows), default=0)

    # --- time goes by -------------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        self._read_again()
        for run, firing in self._settled.items():
            self._wants(firing).forget(run)
        self._settled.clear()
        for firing in list(self._waiting.values()):
            self._see(firing, now)
        for automation in self._all.values():
            if automation.when.absent:
                self._look_for_absence(automation, now)
        if now - self._swept > _WEEK // 7:
            self._swept = now
            old = (tables.firings.c.state != "waiting", tables.firings.c.time < now - _WEEK)
            self.context.write(delete(tables.firings).where(*old))
        self._save()

    def _see(self, firing: Firing, now: int) -> None:
        """Ask for it, or hear what became of it."""
        wants = self._wants(firing)
        word = wants.word(firing.run)
        if word is not None:
            self._settle(firing, "failed" if word.problem else "started", word.problem, "NotBegun")
        elif now > firing.until + _OVERTIME:
            waited = f"{(firing.until - firing.time) / 1e6:g} s"
            self._settle(firing, "failed", f"Nobody has served {firing.target} for {waited}.", "NotServed")
        elif firing.run not in self._asked:
            wants.ask(_wanted(firing))
            self._asked.add(firing.run)
        elif now > firing.time + _UNHEARD and firing.target not in self._told:
            self._told.add(firing.target)
            self.context.logger.warning(
                "nobody serves %s, of which automation '%s' wants a run: it waits", firing.target, firing.automation
            )

    def _settle(self, firing: Firing, state: str, problem: str, kind: str) -> None:
        self._waiting.pop(firing.run)
        self._settled[firing.run] = firing
        if state == "started":
            self._told.discard(firing.target)
        self.context.write(
            tables.firings.update().where(tables.firings.c.run == firing.run).values(state=state, problem=problem)
        )
        flow, _, deployment = firing.target.partition("/")
        done = ActionDone(
            run=firing.run, flow=flow, deployment=deployment, environment=firing.environment, action=RUN,
            target=firing.run, actor=f"automation:{firing.automation}", outcome=state, hops=max(firing.hops - 1, 0),
            arguments={"deployment": firing.target}, error=Failure(type=kind, message=problem) if problem else None,
        )  # fmt: skip
        self.context.emit(done, cause=firing.cause)

    def _wants(self, firing: Firing) -> Wants:
        return Wants(self.context.home, firing.environment, firing.target)

    def _look_for_absence(self, automation: Automation, now: int) -> None:
        state = self._states[automation.name]
        if not state.seen:  # it is looked for from now on
            state.seen = now
            self._changed.add(automation.name)
        moment = state.seen + int(automation.when.within * 1e6)
        read_until = self.context.read_until
        if state.told >= moment or moment > now or (read_until and read_until < moment):
            return
        state.told = moment
        self._changed.add(automation.name)
        if automation.active and not state.paused:
            origin = state.event or derived_id(state.seen, "absent", automation.name)
            cause = Event(id=origin, time=moment)
            fields = {"since": fields_of(Event(id=origin, time=state.seen))["time"], "name": automation.name}
            self._fire(automation, state, cause, moment, fields)

    # --- what is kept -------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        names = sorted(self._changed)
        if names:
            rows: Iterable[State] = (self._states[name] for name in names)
            self.context.write(delete(tables.states).where(tables.states.c.automation.in_(names)))
            values = [{"automation": name, **msgspec.structs.asdict(row)} for name, row in zip(names, rows, strict=True)]
            self.context.write(insert(tables.states), values)
        self._changed.clear()


def _wanted(firing: Firing) -> WantedRun:
    return WantedRun(
        run=firing.run, time=firing.time, until=firing.until, parameters=msgspec.json.decode(firing.parameters),
        cause="automation", caused_by=firing.cause, hops=firing.hops,
    )  # fmt: skip


def _with_hops(cause: Event, hops: int) -> Event:
    """What it led to counts on from where we know it to be."""
    return msgspec.structs.replace(cause, hops=hops - 1)


def _requested_id(plugin: str, cause: Event, name: str) -> str:
    """As `Context.emit` makes it."""
    return derived_id(moment_of(cause.id), plugin, cause.id, "action.requested", name)


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
