"""The ledger: events in, rows out. It knows no store and no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from flowtell import events as e
from flowtell.decoders import decoder
from flowtell.events import Event
from flowtell_exporters.prefect_compat import things
from flowtell_exporters.prefect_compat.kept_run import REMOVED, KeptRun
from flowtell_exporters.prefect_compat.settings import Settings
from flowtell_exporters.prefect_compat.things import Capacity, Deployment, RunTime, Thing, Total
from flowtell_exporters.subjects import clean_label

Rows = list[dict[str, Any]]
Key = tuple[str, tuple[str, ...]]
"""Kind of a thing, and its names with the environment in front."""

KEPT: Final = 86_400_000_000
"""µs that a run is kept after its end: so long, older news of it that comes late is known to be old."""

TYPES: Final[dict[str, type[Thing]]] = {
    "flow": Thing,
    "deployment": Deployment,
    "pool": Capacity,
    "queue": Capacity,
    "run_time": RunTime,
}

_encode: Final = msgspec.json.Encoder().encode
_SILENT: Final = frozenset({"flow_run.heartbeat"})


class Ledger:
    """Runs and things as the events told of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.runs: dict[str, KeptRun] = {}
        self.things: dict[Key, Thing] = {}
        self.total = Total(left_out={})
        self._counts: dict[str, int] = dict.fromkeys(TYPES, 0)
        self._by_external: dict[str, Key] = {}
        self._touched_runs: set[str] = set()
        self._touched_things: set[Key] = set()
        self._stored: set[Any] = set()
        self._total_changed = False

    # --- events ---------------------------------------------------------------------------------------------------

    def take(self, events: Iterable[Event], has_ended: Callable[[Sequence[str]], set[str]]) -> None:
        """Take a batch. `has_ended` tells which of these runs the log knows to be over."""
        counted = [event for event in events if not event.contrary and self._settings.counts(event.source)]
        known_over = self._over_long_ago(counted, has_ended)
        for event in counted:
            match event:
                case e.FlowDeclared():
                    self._note(("flow", (event.environment, clean_label(event.flow))), _word(event))
                case e.DeploymentDeclared() if event.deployment:
                    self._note(self._deployment_key(event), things.deployment(event))
                case e.DeploymentRemoved():
                    key = self._by_external.get(event.external_id, self._deployment_key(event))
                    self._note(key, Deployment(at=event.time, event=event.id, removed=True))
                case e.CapacityObserved() if event.kind in ("pool", "queue"):
                    self._note(_capacity_key(event), things.capacity(event))
                case _ if event.type.startswith("flow_run.") and event.run and event.type not in _SILENT:
                    self._take_run(event, known_over)
                case _:
                    pass

    def _over_long_ago(self, events: Sequence[Event], has_ended: Callable[[Sequence[str]], set[str]]) -> set[str]:
        """Runs that are not kept and of which old news has come: they may have ended and been forgotten."""
        unknown = {event.run for event in events if event.run and event.run not in self.runs and _is_old(event)}
        return has_ended(sorted(unknown)) if unknown else set()

    def _take_run(self, event: Event, known_over: set[str]) -> None:
        kept = self.runs.get(event.run)
        ends = isinstance(event, e.FlowRunFinished)
        if kept is None:
            if event.run in known_over and not ends:
                return
            kept = self._new_run(event)
            if kept is None:
                return
        if isinstance(event, e.FlowRunRemoved):
            kept.remove(event.time)
        elif kept.facts.state != REMOVED:
            kept.take(event)
        self._touched_runs.add(event.run)
        if isinstance(event, e.FlowRunFinished):
            self._note_time(event, kept)

    def _new_run(self, event: Event) -> KeptRun | None:
        if not isinstance(event, e.FlowRunRemoved):
            self.total.runs += 1
            self._total_changed = True
        if event.flow:
            self._note(("flow", (event.environment, clean_label(event.flow))), Thing())
        if len(self.runs) >= self._settings.max_runs:
            self._leave_out("runs")
            return None
        kept = self.runs[event.run] = KeptRun(event.run)
        return kept

    def _note_time(self, event: e.FlowRunFinished, kept: KeptRun) -> None:
        seconds = event.duration
        if seconds is None and kept.facts.started is not None:
            seconds = max(event.time - kept.facts.started, 0) / 1e6
        if seconds is not None:
            flow, deployment = event.flow or kept.facts.flow, event.deployment or kept.facts.deployment or ""
            names = (event.environment, clean_label(flow), clean_label(deployment))
            self._note(("run_time", names), RunTime(at=event.time, event=event.id, seconds=seconds))

    def _note(self, key: Key, word: Thing) -> None:
        """Keep the newest word, in whatever order they come."""
        before = self.things.get(key)
        if before is not None and word.age <= before.age:
            return
        if before is None and self._counts[key[0]] >= self._settings.max_series:
            self._leave_out(f"{key[0]}s")
            return
        self._put(key, word)
        self._touched_things.add(key)

    def _put(self, key: Key, word: Thing) -> None:
        self._counts[key[0]] += key not in self.things
        self.things[key] = word
        if isinstance(word, Deployment) and word.external_id:
            self._by_external[word.external_id] = key

    def _leave_out(self, what: str) -> None:
        self.total.left_out[what] = self.total.left_out.get(what, 0) + 1
        self._total_changed = True

    @staticmethod
    def _deployment_key(event: Event) -> Key:
        return "deployment", (event.environment, clean_label(event.flow), clean_label(event.deployment))

    # --- forgetting -----------------------------------------------------------------------------------------------

    def forget(self, before: int) -> None:
        """Let go of runs that ended before that moment."""
        for run in [run for run, kept in self.runs.items() if kept.facts.ended is not None and kept.facts.ended < before]:
            del self.runs[run]
            self._touched_runs.add(run)

    # --- the rows, and back ---------------------------------------------------------------------------------------

    def changed_runs(self) -> tuple[Rows, Rows]:
        """Rows to delete and then rows to insert, for what changed since the last call."""
        touched, self._touched_runs = self._touched_runs, set()
        gone = [{"key": run} for run in sorted(touched & self._stored)]
        rows = [self.runs[run].row() for run in sorted(touched) if run in self.runs]
        self._stored = self._stored - touched | {row["run"] for row in rows}
        return gone, rows

    def changed_things(self) -> tuple[Rows, Rows]:
        """As `changed_runs`."""
        touched, self._touched_things = self._touched_things, set()
        rows = [_thing_row(key[0], key[1], self.things[key]) for key in sorted(touched)]
        if self._total_changed:
            self._total_changed = False
            rows.append(_thing_row("total", (), self.total))
        return [{"of_kind": row["kind"], "of_name": row["name"]} for row in rows], rows

    def restore(self, thing_rows: Iterable[Any], run_rows: Iterable[Any]) -> None:
        """Take in the rows that an earlier ledger gave out. Only on a new one."""
        for row in thing_rows:
            if row.kind == "total":
                self.total = decoder(Total)(row.data)
            else:
                key = row.kind, tuple(msgspec.json.decode(row.name))
                self._put(key, decoder(TYPES[row.kind])(row.data))
        for row in run_rows:
            self.runs[row.run] = KeptRun.restored(row)
            self._stored.add(row.run)


def _word(event: Event) -> Thing:
    return Thing(at=event.time, event=event.id)


def _capacity_key(event: e.CapacityObserved) -> Key:
    names = (event.pool, event.name) if event.kind == "queue" else (event.name,)
    return event.kind, (event.environment, *map(clean_label, names))


def _is_old(event: Event) -> bool:
    return event.received - event.time > KEPT


def _thing_row(kind: str, names: tuple[str, ...], data: Any) -> dict[str, Any]:
    return {"kind": kind, "name": _encode(names).decode(), "data": _encode(data).decode()}
