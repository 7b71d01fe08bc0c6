"""Deadlines and predicted ends stand on the picture at their moment, in their flow's lane."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from flowtell import deadline, failed
from flowtell import events as e
from flowtell.ids import new_id
from flowtell.testing import PluginHarness
from flowtell_dashboard.plugin import create
from flowtell_dashboard.timeline.index import Index
from flowtell_dashboard.timeline.promises import deadlines_of, moments
from flowtell_dashboard.timeline.question import Question
from flowtell_dashboard.timeline.view import view

SECOND, HOUR = 1_000_000, 3_600_000_000


def micros(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[PluginHarness]:
    with PluginHarness(create, tmp_path, name="dashboard") as each:
        yield each


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_a_deadline_is_at_its_hour_in_its_zone(zone):
    """Over a year and its changes of the clock, each day once."""
    (one,) = deadlines_of([failed(), deadline("06:30", tz=zone)])
    year = [datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)), datetime(2027, 1, 1, tzinfo=ZoneInfo(zone))]
    found = [datetime.fromtimestamp(at / 1e6, UTC).astimezone(ZoneInfo(zone)) for at in moments(one, *map(micros, year))]
    assert [(at.month, at.day) for at in found] == [
        (day.month, day.day) for day in (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(365))
    ]
    assert {(at.hour, at.minute) for at in found} == {(6, 30)}


def test_a_window_is_from_its_begin_to_before_its_end():
    (one,) = deadlines_of([deadline("12:00")])
    noon = micros(datetime(2026, 5, 5, 12, tzinfo=UTC))
    assert list(moments(one, noon, noon + 24 * HOUR)) == [noon]
    assert list(moments(one, noon + 1, noon + 24 * HOUR)) == []


@pytest.fixture
def night(harness):
    """A flow with a deadline at six whose run goes on, and one without."""
    six = micros(datetime(2026, 9, 21, 6, tzinfo=UTC))
    run = new_id()
    rules = (deadline("06:00"),)
    harness.feed(
        [
            e.FlowDeclared(id=new_id(), time=six - HOUR, flow="nightly", environment="prod", rules=rules, owners=("ann",)),
            e.FlowRunStarted(id=new_id(), time=six - HOUR, run=run, flow="nightly", environment="prod"),
            e.FlowRunStarted(id=new_id(), time=six - HOUR, run=new_id(), flow="other", environment="prod"),
        ]
    )
    return six, run, Question(begin=six - 2 * HOUR, end=six + 2 * HOUR, order="name")


def test_a_deadline_is_in_its_flows_lane_and_goes_by_the_filters(harness, night):
    six, _, asked = night
    index = Index(harness.store.read)
    shown = view(index, asked, six)
    assert [(shown.lanes[one.lane].lane.name, one.what, one.at) for one in shown.promises] == [("nightly", "deadline", six)]
    assert shown.promises[0].place == pytest.approx(asked.width / 2, abs=1)
    for other in ({"flow": "other"}, {"state": ("failed",)}, {"owner": "bob"}, {"end": six, "begin": six - HOUR}):
        assert view(index, _with(asked, **other), six).promises == []
    assert len(view(index, _with(asked, owner="ann", by="all"), six).promises) == 1


def test_where_deadlines_would_be_a_hatching_none_is_drawn(harness, night):
    """One flow's over a year are."""
    six, _, asked = night
    index = Index(harness.store.read)
    year = 366 * 24 * HOUR
    assert len(view(index, _with(asked, begin=six - year, end=six), six).promises) == 366
    assert view(index, _with(asked, begin=six - 12 * year, end=six), six).promises == []


def test_a_predicted_end_is_there_while_its_run_goes_on(night, harness):
    """The last word counts; when the run has ended, what was predicted of it is gone."""
    six, run, asked = night
    index = Index(harness.store.read)
    index.load()
    index.predict({run: six + HOUR, "e" * 32: six})
    index.predict({run: six + HOUR // 2})
    promised = [one for one in view(index, asked, six).promises if one.what == "expected"]
    assert [(one.run, one.at) for one in promised] == [(run, six + HOUR // 2)]
    end = e.FlowRunFinished(id=new_id(), time=six, run=run, flow="nightly", environment="prod")
    harness.feed([end])
    index.note([run])
    assert [one for one in view(index, asked, six).promises if one.what == "expected"] == []


def _with(asked: Question, **changes) -> Question:
    import msgspec

    return msgspec.structs.replace(asked, **changes)
