"""Who is who there: names of flows and deployments, what is known of runs, and which run is whose parent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.documents import FlowRun, Message, TaskRun, read_documents
from flowtell_sources.prefect.flow_runs import KnownRun, known_from_document, known_from_message
from flowtell_sources.prefect.links import Links

MOST_KEPT: Final = 20_000
"""Runs that are remembered; of one that was forgotten the document is read again."""

_DEEPEST: Final = 20
"""Subflows within subflows that are followed up to their root."""

_ENOUGH: Final = 20
"""Documents without a trace after which the flows there are taken to have none."""

FLOW_RUN: Final = "prefect.flow-run."

_V = TypeVar("_V")


class Recent(OrderedDict[str, _V]):
    """The values used last, `MOST_KEPT` of them."""

    def put(self, key: str, value: _V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > MOST_KEPT:
            self.popitem(last=False)


class Directory:
    """Asks for what it does not know, many at once. For one thread."""

    def __init__(self, api: PrefectApi, links: Links) -> None:
        self.api, self.links = api, links
        self.runs: Recent[KnownRun] = Recent()
        """By Prefect's id."""
        self.tasks: Recent[str] = Recent()
        """Names of tasks by Prefect's id of a task run."""
        self.deleted: Recent[None] = Recent()
        """Deployments, by Prefect's id, of which a message told that they were deleted."""
        self.owed: dict[str, int] = {}
        """Task runs, by Prefect's id, that are to be read some time later, and since when (µs): see `read_owed`."""
        self._around: Recent[str] = Recent()
        """The flow run around a task run, both by Prefect's id."""
        self._flows: dict[str, str] = {}
        self._deployments: dict[str, str] = {}
        self._untraced = 0
        """Documents in a row that named no trace of Prefect's."""

    # --- what was read on the way ---------------------------------------------------------------------------------

    def note_flows(self, flows: Iterable[Mapping[str, Any]]) -> None:
        self._flows.update({str(flow.get("id")): str(flow.get("name", "")) for flow in flows})

    def note_deployments(self, deployments: Iterable[Mapping[str, Any]]) -> None:
        self._deployments.update({str(each.get("id")): str(each.get("name", "")) for each in deployments})

    def flow_name(self, flow: str) -> str:
        return self._flows.get(flow, "")

    # --- what is asked for ----------------------------------------------------------------------------------------

    def of_messages(self, messages: Sequence[Message]) -> None:
        """Learn of the runs that these messages are about, by as few requests as can be.

        The message itself tells all of a run that no deployment made, but for its trace: the document is read while
        documents name traces, or too few were seen to say. Of a subflow's parent a document tells.
        """
        unknown = [message for message in messages if _run_of(message) not in self.runs]
        plain = [message for message in unknown if self._tells_all(message)]
        told = {_run_of(message) for message in plain}
        self.flow_runs(_run_of(message) for message in unknown if _run_of(message) not in told)
        roots = [message for message in plain if not message.related_id("task-run")]
        subflows = [message for message in plain if message.related_id("task-run")]
        self._take(roots)  # a subflow's parent may be among them
        self._learn_parents(dict.fromkeys(message.related_id("task-run") for message in subflows))
        self._take(subflows)

    def _take(self, messages: Iterable[Message]) -> None:
        for message in messages:
            run = _run_of(message)
            parent = self.runs.get(self._around.get(message.related_id("task-run"), ""))
            if run not in self.runs:
                self.runs.put(run, known_from_message(message, run, self.links.flow_run(run), parent))

    def _tells_all(self, message: Message) -> bool:
        about_a_run = message.subject.startswith(FLOW_RUN) and "prefect.state-type" in message.resource
        return about_a_run and self._untraced >= _ENOUGH and not message.related_id("deployment")

    def flow_runs(self, ids: Iterable[str], depth: int = 0) -> None:
        """Learn of these runs what is not known yet. One that is gone there stays unknown."""
        unknown = [run for run in dict.fromkeys(ids) if run and run not in self.runs]
        if unknown:
            self.learn(read_documents(self.api.by_ids("flow_runs", unknown), FlowRun), depth)

    def learn(self, runs: list[FlowRun], depth: int = 0) -> None:
        """Take in documents of flow runs, with the names and parents that they refer to."""
        self._learn_names("flows", self._flows, (run.flow_id for run in runs), self.note_flows)
        self._learn_names("deployments", self._deployments, (run.deployment_id for run in runs), self.note_deployments)
        ours = {run.id: run for run in runs}
        parents = self._learn_parents(
            dict.fromkeys(run.parent_task_run_id for run in runs if run.parent_task_run_id), ours=ours, depth=depth
        )
        if parents and depth < _DEEPEST:  # those of the same page come first
            self.learn([ours[parent] for parent in parents], depth + 1)
        for run in runs:
            known = self._known(run)
            self.runs.put(run.id, known)
            self._untraced = 0 if known.trace else self._untraced + 1

    def _learn_names(
        self, what: str, known: Mapping[str, str], ids: Iterable[str | None], note: Callable[[Any], None]
    ) -> None:
        unknown = [each for each in dict.fromkeys(ids) if each and each not in known]
        if unknown:
            note(self.api.by_ids(what, unknown))
            note({"id": each} for each in unknown if each not in known)  # deleted: not asked for again

    def _learn_parents(self, tasks: Iterable[str], *, ours: Container[str] = (), depth: int = 0) -> list[str]:
        """Learn which flow runs are around these task runs, and of those what is not known. Returns those in `ours`."""
        wanted = list(tasks)
        unknown = [task for task in wanted if task not in self._around]
        if unknown:
            self._read_tasks(unknown)
        parents = dict.fromkeys(self._around.get(task, "") for task in wanted)
        unread = [parent for parent in parents if parent and parent not in self.runs]
        if depth < _DEEPEST:
            self.flow_runs((parent for parent in unread if parent not in ours), depth + 1)
        return [parent for parent in unread if parent in ours]

    def read_owed(self) -> list[TaskRun]:
        """The task runs that are owed, at once: a request costs the server more than a row."""
        owed, self.owed = self.owed, {}
        return self._read_tasks(list(owed))

    def _read_tasks(self, ids: list[str]) -> list[TaskRun]:
        found = read_documents(self.api.by_ids("task_runs", ids), TaskRun)
        self.note_tasks(found)
        return found

    def note_tasks(self, tasks: Iterable[TaskRun]) -> None:
        for task in tasks:
            self._around.put(task.id, task.flow_run_id or "")

    def _known(self, run: FlowRun) -> KnownRun:
        parent = self.runs.get(self._around.get(run.parent_task_run_id or "", ""))
        return known_from_document(
            run,
            flow=self._flows.get(run.flow_id, ""),
            deployment=self._deployments.get(run.deployment_id or "", ""),
            url=self.links.flow_run(run.id),
            parent=parent,
        )


def _run_of(message: Message) -> str:
    """Prefect's id of the flow run that a message is about or belongs to; empty where it is none."""
    return message.subject.removeprefix(FLOW_RUN) if message.subject.startswith(FLOW_RUN) else message.related_id("flow-run")
