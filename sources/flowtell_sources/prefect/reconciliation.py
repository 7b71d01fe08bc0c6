"""The reading of the REST API that finds what the websocket missed: ends, open runs, deletions, assets and own events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from flowtell import events as e
from flowtell.events import Event
from flowtell.source import OpenRun
from flowtell_sources.prefect import assets
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.documents import FlowRun, Message, TaskRun, read_documents
from flowtell_sources.prefect.identity import fact_id, iso, run_id
from flowtell_sources.prefect.other_events import DEPLOYMENT_DELETED
from flowtell_sources.prefect.states import OPEN
from flowtell_sources.prefect.translation import Translator

AHEAD: Final = 86_400_000_000
"""µs: runs that are due later than in a day come over when they are nearer."""

_NOT_BEGUN: Final = ["PENDING", "SCHEDULED"]
_MOVING: Final = [state for state in OPEN if state != "SCHEDULED"]


class Reconciliation:
    """One reading. `pages` gives it in parts, a request or so each, so that live events are handled in between."""

    def __init__(self, api: PrefectApi, translator: Translator, *, since: int, open_runs: Sequence[OpenRun]) -> None:
        """Of all from `since` on, in µs by their clock.

        Args:
            api: where to read.
            translator: makes events of it.
            since: ends before it are known to be in.
            open_runs: the runs that the log holds as open, to be asked for one by one where the rest says nothing of them.
        """
        self._api, self._translator = api, translator
        self._since = since
        self._open = {run.id: run for run in open_runs}
        self._seen: set[str] = set()
        self.gone: set[str] = set()
        """Runs that are open in the log and gone there."""

    def pages(self) -> Iterator[list[Event]]:
        """Events of each part, in an order in which a run's start comes before its end."""
        yield from self._flow_runs()
        yield from self.missing()
        yield from self._task_runs()
        yield from self._messages()

    # --- flow runs ------------------------------------------------------------------------------------------------

    def _flow_runs(self) -> Iterator[list[Event]]:
        soon = {"before_": iso(self._api.now() + AHEAD)}
        wanted: tuple[dict[str, Any], ...] = (
            {"state": {"type": {"any_": _MOVING}}},
            {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": soon},
            {"end_time": {"after_": iso(self._since)}},
        )
        for part in wanted:
            for page in self._api.pages("flow_runs", {"flow_runs": part, "sort": "ID_DESC"}):
                yield self._take(read_documents(page, FlowRun))

    def _take(self, runs: Sequence[FlowRun]) -> list[Event]:
        self._seen.update(run_id(run.id) for run in runs)
        news = [run for run in runs if self._translator.told.is_news(run)]
        return [*self._translator.of_flow_runs(news), *self._translator.left_open(news)]

    def missing(self) -> Iterator[list[Event]]:
        """Runs that are open in the log and in no list: they ended before `since`, or were deleted."""
        soon = self._api.now() + AHEAD
        missing = [run for run in self._open.values() if run.id not in self._seen and (run.due or 0) <= soon]
        for start in range(0, len(missing), 200):
            part = missing[start : start + 200]
            found = read_documents(self._api.by_ids("flow_runs", [_external(run) for run in part]), FlowRun)
            there = {run_id(run.id) for run in found}
            removed = [run for run in part if run.id not in there]
            self.gone.update(run.id for run in removed)
            yield [*self._take(found), *(_removed(run, self._api.now()) for run in removed)]

    # --- task runs, and what is no run ----------------------------------------------------------------------------

    def _task_runs(self) -> Iterator[list[Event]]:
        wanted: tuple[dict[str, Any], ...] = (
            {"task_runs": {"state": {"type": {"any_": list(OPEN)}}, "start_time": {"after_": iso(self._since)}}},
            {"task_runs": {"end_time": {"after_": iso(self._since)}}},
            {"task_runs": {"state": {"type": {"any_": _NOT_BEGUN}}}, "flow_runs": {"state": {"type": {"any_": _MOVING}}}},
        )
        for part in wanted:
            for page in self._api.pages("task_runs", {**part, "sort": "ID_DESC"}):
                yield self._translator.of_task_runs(read_documents(page, TaskRun))

    def _messages(self) -> Iterator[list[Event]]:
        until = self._api.now() + 60_000_000
        yield from messages(self._api, self._translator, since=self._since, until=until, also=(DEPLOYMENT_DELETED,))


def messages(
    api: PrefectApi, translator: Translator, *, since: int, until: int, also: Sequence[str] = ()
) -> Iterator[list[Event]]:
    """Assets, artifacts and a team's own events, as far back as Prefect keeps them; `also` those of further names."""
    occurred = {"since": iso(since), "until": iso(until)}
    names: tuple[dict[str, Any], ...] = (
        {"prefix": [assets.PREFIX, "prefect.artifact.", *also]},
        {"exclude_prefix": ["prefect."]},
    )
    for name in names:
        for page in api.event_pages({"occurred": occurred, "event": name, "order": "ASC"}):
            yield translator.of_messages(read_documents(page, Message))


def _external(run: OpenRun) -> str:
    return run.external_id or str(UUID(run.id))


def _removed(run: OpenRun, now: int) -> Event:
    """Noticed now, but one fact whenever it is noticed."""
    identity = fact_id(run.started or run.due or 0, run.id, "removed")
    return e.FlowRunRemoved(id=identity, time=now, run=run.id, flow=run.flow, reason="deleted in Prefect")
