"""Prefect's messages and documents into our events, in whole pages, with what they refer to asked for at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from flowtell.events import Event
from flowtell_sources.prefect import assets, flow_runs, other_events, task_runs
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.directory import FLOW_RUN, Directory
from flowtell_sources.prefect.documents import FlowRun, Message, State, TaskRun, read_documents
from flowtell_sources.prefect.flow_runs import KnownRun
from flowtell_sources.prefect.identity import moment, run_id
from flowtell_sources.prefect.states import ENDED, OPEN
from flowtell_sources.prefect.told import Told

TASK_RUN: Final = "prefect.task-run."


class Translator:
    """For one thread. Reads names, parents and what only documents tell through `directory`."""

    def __init__(self, api: PrefectApi, directory: Directory) -> None:
        self._api, self._directory = api, directory
        self.told = Told()

    @property
    def owes_since(self) -> int | None:
        """µs: since when subflows began or ended whose task runs are not told yet, None where all are: see `settle`."""
        return min(self._directory.owed.values(), default=None)

    # --- messages -------------------------------------------------------------------------------------------------

    def of_messages(self, messages: Sequence[Message]) -> list[Event]:
        """The events that these messages are, in their order."""
        self._directory.of_messages([each for each in messages if not each.event.startswith(other_events.SURROUNDINGS)])
        found = [event for message in messages for event in self._of_message(message)]
        self._owe_subflows(messages)
        return [*found, *self._left_open(messages)]

    def _of_message(self, message: Message) -> list[Event]:
        if message.event.startswith(TASK_RUN):
            return self._of_task_run(message)
        if message.event.startswith(FLOW_RUN) and message.event != other_events.HEARTBEAT:
            return self._of_flow_run(message)
        facts = self._facts_of(message)
        if message.event.startswith(assets.PREFIX):
            return assets.asset_events(message, facts)
        if deleted := other_events.deleted_deployment(message):
            self._directory.deleted.put(deleted, None)
        return other_events.other_events(message, facts)

    def _of_flow_run(self, message: Message) -> list[Event]:
        external = message.subject.removeprefix(FLOW_RUN)
        state = flow_runs.state_of_message(message)
        if state.type in ENDED and not self.told.has_begun(external, _count(message)):
            found = self._whole(external)
            if found:
                return found
        before = task_runs.before_of_message(message)
        known = self._begun(self._known(message, external), message, state, before)
        self.told.note(external, state.id)
        return flow_runs.transition(known, state, before=before, count=_count(message))

    def _whole(self, external: str) -> list[Event]:
        """All of a run of which messages told the end but not every start: they were dropped, or were before our time."""
        return self.of_flow_runs(read_documents(self._api.by_ids("flow_runs", [external]), FlowRun))

    def _begun(self, known: KnownRun, message: Message, state: State, before: str) -> KnownRun:
        """With the start that the message tells of, as the document may have been read before it."""
        if state.type != "RUNNING" or before == "PAUSED":
            return known
        self.told.begin(known.external)
        if known.started is None and _count(message) <= 1:
            known = replace(known, started=moment(state.timestamp))
            self._directory.runs.put(known.external, known)
        return known

    def _known(self, message: Message, external: str) -> KnownRun:
        """What is known of the flow run; of one that was deleted there meanwhile, what the message says."""
        known = self._directory.runs.get(external)
        return known or flow_runs.known_from_message(message, external, self._directory.links.flow_run(external))

    def _of_task_run(self, message: Message) -> list[Event]:
        run = task_runs.run_of_message(message)
        if run is None or run.state is None:
            return []
        around = self._known(message, run.flow_run_id) if run.flow_run_id else None
        if run.state.type in ENDED and not self.told.has_begun(run.id, run.run_count):
            return self.of_task_runs([run])
        if run.state.type == "RUNNING":
            self.told.begin(run.id)
        facts = self._task_facts(run, around)
        self.told.note_run(run)
        return task_runs.transition(run, run.state, facts, before=task_runs.before_of_message(message), count=run.run_count)

    def _task_facts(self, run: TaskRun, around: KnownRun | None) -> dict[str, Any]:
        self._directory.tasks.put(run.id, task_runs.task_name(run))
        return task_runs.common(run, around, self._directory.links.task_run(run.id))

    def _facts_of(self, message: Message) -> dict[str, Any]:
        """Fields of the run and task run that any other message belongs to."""
        about = message.subject.removeprefix(FLOW_RUN) if message.subject.startswith(FLOW_RUN) else ""
        external, task = about or message.related_id("flow-run"), message.related_id("task-run")
        facts = {**self._known(message, external).common, "due": None, "url": ""} if external else {}
        facts["external_id"] = message.id
        if task:
            name = self._directory.tasks.get(task) or task_runs.name_of_run(message.related_name("task-run"))
            facts |= {"task_run": run_id(task), "task": name}
        return facts

    # --- what no message tells ------------------------------------------------------------------------------------

    def _owe_subflows(self, messages: Iterable[Message]) -> None:
        """A subflow stands in its parent as a task run, of which only documents tell."""
        for message in messages:
            task = message.related_id("task-run") if message.event.startswith(FLOW_RUN) else ""
            if task and flow_runs.state_of_message(message).type in {*ENDED, "RUNNING"}:
                self._directory.owed.setdefault(task, moment(message.occurred) or 0)

    def settle(self) -> list[Event]:
        """What is owed of subflows, all at once."""
        return self.of_task_runs(self._directory.read_owed()) if self._directory.owed else []

    def _left_open(self, messages: Iterable[Message]) -> Iterator[Event]:
        """The open task runs of flow runs that crashed: of a killed process nobody tells their end."""
        crashed = [
            message.subject.removeprefix(FLOW_RUN)
            for message in messages
            if message.event.startswith(FLOW_RUN) and flow_runs.state_of_message(message).type == "CRASHED"
        ]
        if crashed:
            yield from self.left_open(read_documents(self._api.by_ids("flow_runs", crashed), FlowRun))

    def left_open(self, ended: Sequence[FlowRun]) -> Iterator[Event]:
        """Ends for the task runs that are still open there though their flow run has crashed."""
        crashed = {run.id: run for run in ended if run.state is not None and run.state.type == "CRASHED"}
        if not crashed:
            return
        wanted = {
            "flow_runs": {"id": {"any_": list(crashed)}},
            "task_runs": {"state": {"type": {"any_": [state for state in OPEN if state != "PAUSED"]}}},
        }
        for page in self._api.pages("task_runs", wanted):
            for task in read_documents(page, TaskRun):
                around = crashed.get(task.flow_run_id or "")
                if around is None or around.state is None:
                    continue
                facts = self._task_facts(task, self._directory.runs.get(around.id))
                at = moment(around.state.timestamp) or moment(around.end_time) or 0
                yield from task_runs.whole_run(task, facts)
                yield task_runs.left_open(task, facts, at, around.state.id)

    # --- documents ------------------------------------------------------------------------------------------------

    def of_flow_runs(self, runs: Sequence[FlowRun]) -> list[Event]:
        """All that the documents tell which was not told yet. Of runs with several attempts the states are asked for."""
        news = [run for run in runs if self.told.is_news(run)]
        self._directory.learn(news)
        made: list[Event] = []
        for run in news:
            states = self._states("flow_run", run) if run.run_count > 1 else ()
            made += flow_runs.whole_run(run, self._directory.runs[run.id], states)
            self.told.note_run(run)
        return made

    def of_task_runs(self, runs: Sequence[TaskRun]) -> list[Event]:
        """As `of_flow_runs`."""
        news = [run for run in runs if self.told.is_news(run)]
        self._directory.flow_runs(run.flow_run_id or "" for run in news)
        made: list[Event] = []
        for run in news:
            facts = self._task_facts(run, self._directory.runs.get(run.flow_run_id or ""))
            states = self._states("task_run", run) if run.run_count > 1 else ()
            made += task_runs.whole_run(run, facts, states)
            self.told.note_run(run)
        return made

    def _states(self, kind: str, run: FlowRun | TaskRun) -> Sequence[State]:
        return read_documents(self._api.states(kind, run.id), State)


def _count(message: Message) -> int:
    try:
        return int(message.resource.get("prefect.run-count") or 0)
    except (TypeError, ValueError):
        return 0
