"""What is asked of a Prefect server while messages come: as little as tells all, over documents that a real one gave."""

from __future__ import annotations

import json

import httpx2
import pytest

from flowtell.events import TaskRunFinished
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.capacity import PARTS, Capacity
from flowtell_sources.prefect.directory import Directory
from flowtell_sources.prefect.documents import Message, TaskRun, read_documents
from flowtell_sources.prefect.identity import moment, run_id
from flowtell_sources.prefect.links import Links
from flowtell_sources.prefect.reconciliation import Reconciliation, messages
from flowtell_sources.prefect.settings import Settings
from flowtell_sources.prefect.task_runs import task_name
from flowtell_sources.prefect.translation import Translator

LISTS = {"v2/concurrency_limits": "limits", "concurrency_limits": "tag_limits"}


class Asked:
    """A client of recorded documents that notes the lists it asked for, and the ids."""

    def __init__(self, recorded) -> None:
        self.recorded = recorded
        self.lists: list[tuple[str, list[str]]] = []
        settings = Settings(api_url="http://there/api")
        transport = httpx2.MockTransport(self._answer)
        self.api = PrefectApi(settings, clock=lambda: 0, paced=False, transport=transport)
        self.directory = Directory(self.api, Links(settings.api_url, ""))
        self.translator = Translator(self.api, self.directory)

    def _answer(self, request):
        what = request.url.path.removeprefix("/api/").removesuffix("/filter")
        if what.endswith("_states/"):
            return httpx2.Response(200, json=[])
        if request.method == "GET":
            what, _, one = what.partition("/")
            self.lists.append((what, [one]))
            found = [each for each in self.recorded(what) if each["id"] == one]
            return httpx2.Response(200, json=found[0]) if found else httpx2.Response(404, json={"detail": "not found"})
        body = json.loads(request.content)
        ids = body.get(what, {}).get("id", {}).get("any_", [])
        self.lists.append((what, ids))
        found = self.recorded(LISTS.get(what, what))
        return httpx2.Response(200, json=[each for each in found if not ids or each["id"] in ids][: body["limit"]])

    def of(self, what: str) -> list[list[str]]:
        return [ids for asked, ids in self.lists if asked == what]


@pytest.fixture
def asked(recorded):
    return Asked(recorded)


def subflow_tasks(recorded):
    """Task runs of which no message tells, by name."""
    told = {each["resource"]["prefect.resource.id"] for each in recorded("events")}
    runs = read_documents(recorded("task_runs"), TaskRun)
    return {task_name(run): run.id for run in runs if f"prefect.task-run.{run.id}" not in told}


def test_the_ends_of_subflows_come_together(recorded, asked):
    """The cheapest request for the parent of each, at once, and one for the ends of all, later."""
    tasks = subflow_tasks(recorded)
    assert sorted(tasks) == ["bad", "child"]
    found = []
    for message in read_documents(recorded("events"), Message):
        found += asked.translator.of_messages([message])
    assert asked.of("task_runs") == [[tasks["child"]], [tasks["bad"]]]
    assert [ended(found, tasks[name]) for name in ("child", "bad")] == [[], []]
    assert asked.translator.owes_since is not None
    last = asked.translator.settle()
    assert [sorted(ids) for ids in asked.of("task_runs")[2:]] == [sorted(tasks.values())]
    assert [ended(last, tasks[name]) for name in ("child", "bad")] == [["completed"], ["failed"]]
    assert asked.translator.owes_since is None
    assert asked.translator.settle() == []
    assert len(asked.of("task_runs")) == 3


def ended(events, task):
    return [event.state for event in events if isinstance(event, TaskRunFinished) and event.task_run == run_id(task)]


def test_a_message_of_a_limit_has_the_lists_of_its_sort_read(recorded, asked):
    """Both come over at a whole reading; a slot that is taken has one list read, not two."""
    capacity = Capacity(asked.api, asked.directory, lambda: 0)
    limits = [each for each in read_documents(recorded("events"), Message) if "concurrency-limit" in each.event]
    by_name = {str(each.resource["prefect.resource.name"]): capacity.note([each]) for each in limits}
    assert by_name == {"database": {"limits"}, "full": {"limits"}, "tag:warehouse": {"tag limits"}}
    told = {event.name for page in capacity.pages({"limits"}, list) for event in page}
    assert (told, [what for what, _ in asked.lists]) == ({"database", "full"}, ["v2/concurrency_limits"])
    assert {"limits", "tag limits"} < set(PARTS)
    told = {event.name for page in capacity.pages({"tag limits"}, list) for event in page}
    assert (told, asked.lists[-1][0]) == ({"tag:warehouse"}, "concurrency_limits")


def test_a_deployment_is_removed_once(recorded, asked):
    """By the message of it where one comes, else when the list lacks it."""
    capacity = Capacity(asked.api, asked.directory, lambda: 7)
    declared = read(capacity, "declarations", "deployment.declared")
    gone = message_of_deletion(declared[0])
    (told,) = asked.translator.of_messages([gone])
    assert (told.type, told.time, told.deployment, told.external_id) == (
        "deployment.removed",
        moment(gone.occurred),
        declared[0].deployment,
        declared[0].external_id,
    )
    assert asked.translator.of_messages([gone])[0].id == told.id
    asked.recorded = lambda name: [] if name == "deployments" else recorded(name)
    assert read(capacity, "declarations", "deployment.removed") == []

    unheard = Capacity(asked.api, Asked(recorded).directory, lambda: 7)
    asked.recorded = recorded
    assert len(read(unheard, "declarations", "deployment.declared")) == 1
    asked.recorded = lambda name: [] if name == "deployments" else recorded(name)
    assert [event.deployment for event in read(unheard, "declarations", "deployment.removed")] == [declared[0].deployment]


def test_a_reading_of_what_was_missed_asks_for_deleted_deployments(recorded, asked):
    """In the request for assets, not in one of its own; history does not ask: a later one may have the same name."""
    bodies = []
    asked.api.event_pages = lambda wanted: bodies.append(wanted) or []
    list(Reconciliation(asked.api, asked.translator, since=0, open_runs=[])._messages())
    list(messages(asked.api, asked.translator, since=0, until=1))
    prefixes = [body["event"].get("prefix", []) for body in bodies]
    assert ["prefect.deployment.deleted" in prefix for prefix in prefixes] == [True, False, False, False]


def read(capacity, part, kind):
    return [event for page in capacity.pages({part}, list) for event in page if event.type == kind]


def message_of_deletion(declared):
    return Message(
        id="01a20fdf-2a31-7978-91cf-e5f77be04413",
        event="prefect.deployment.deleted",
        occurred="2026-11-24T12:00:00.123456Z",
        resource={
            "prefect.resource.id": f"prefect.deployment.{declared.external_id}",
            "prefect.resource.name": declared.deployment,
        },
        related=({"prefect.resource.id": "prefect.flow.f", "prefect.resource.role": "flow"},),
    )
