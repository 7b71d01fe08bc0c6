"""What was before the bridge came: ended runs newest first, a page with all their task runs at a time; then assets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from flowtell.events import Event
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.documents import FlowRun, TaskRun, read_documents
from flowtell_sources.prefect.identity import iso, moment
from flowtell_sources.prefect.reconciliation import messages
from flowtell_sources.prefect.translation import Translator


class Place(Struct, frozen=True):
    """How far back it has come. Runs that end in the same microsecond are told apart by `offset`."""

    before: int
    """µs; runs that ended later are in."""
    since: int
    """Where it ends."""
    offset: int = 0
    runs_done: bool = False
    done: bool = False
    runs: int = 0
    """Flow runs so far."""


class History:
    """For one thread. Each page of runs is a step, whose place is kept with what it read; assets are read at one go."""

    def __init__(self, api: PrefectApi, translator: Translator, place: Place) -> None:
        self._api, self._translator = api, translator
        self.place = place

    def count(self) -> int:
        """How many flow runs there are between the two ends."""
        return self._api.count("flow_runs", {"flow_runs": self._between()})

    def _between(self) -> dict[str, Any]:
        return {"end_time": {"before_": iso(self.place.before), "after_": iso(self.place.since)}}

    def pages(self) -> Iterator[list[Event]]:
        """The events of the next pages; after the last of them `place` is further."""
        if not self.place.runs_done:
            yield self._flow_runs()
            return
        yield from messages(self._api, self._translator, since=self.place.since, until=self._api.now())
        self.place = replace(self.place, done=True)

    def _flow_runs(self) -> list[Event]:
        wanted = {"flow_runs": self._between(), "sort": "END_TIME_DESC"}
        page = self._api.filter("flow_runs", wanted, offset=self.place.offset)
        runs = read_documents(page, FlowRun)
        made = [*self._translator.of_flow_runs(runs), *self._task_runs(runs), *self._translator.left_open(runs)]
        self.place = self._after(page, runs)
        return made

    def _task_runs(self, runs: list[FlowRun]) -> Iterator[Event]:
        if runs:
            wanted = {"flow_runs": {"id": {"any_": [run.id for run in runs]}}, "sort": "ID_DESC"}
            for page in self._api.pages("task_runs", wanted):
                yield from self._translator.of_task_runs(
                    [run for run in read_documents(page, TaskRun) if run.end_time is not None]
                )

    def _after(self, page: list[dict[str, Any]], runs: list[FlowRun]) -> Place:
        place = self.place
        if not page:
            return replace(place, runs_done=True)
        ends = [moment(run.end_time) for run in runs]
        last = min((end for end in ends if end is not None), default=place.before)
        same = sum(end == last for end in ends)
        offset = place.offset + len(page) if last == place.before else same
        return replace(place, before=last, offset=offset, runs=place.runs + len(page))
