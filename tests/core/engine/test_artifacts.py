"""What a run shows: tables, markdown, links and progress, as events of the run that shows them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowtell import flow, task
from flowtell.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from flowtell.events import ArtifactCreated, FlowRunFinished, LogRecorded
from flowtell.plugin import without_values
from flowtell.testing import Recorder, recorder


def shown(seen: Recorder) -> list[tuple[str, str, Any]]:
    return [(one.key, one.kind, one.data) for one in seen.of(ArtifactCreated)]


def warnings(seen: Recorder) -> list[str]:
    return [line.message for line in seen.of(LogRecorded) if line.level == "WARNING"]


def test_each_kind_is_an_event_of_the_run_around_it() -> None:
    @task
    def report() -> None:
        create_table_artifact([{"day": "mon", "sum": 3}], key="sums", description="By day.")
        create_markdown_artifact("# Done", key="words")

    @flow
    def weekly() -> None:
        report()
        create_link_artifact("https://shop.example/report", link_text="the report")

    with recorder() as seen:
        weekly()
    assert shown(seen) == [
        ("sums", "table", [{"day": "mon", "sum": 3}]),
        ("words", "markdown", "# Done"),
        ("", "link", {"link": "https://shop.example/report", "text": "the report"}),
    ]
    table, _, link = seen.of(ArtifactCreated)
    assert (table.flow, table.task, table.description, link.task) == ("weekly", "report", "By day.", "")


def test_progress_moves_on_under_one_id() -> None:
    """Also where the id was kept as plain text. What is beyond 0 and 100 is as far as it goes."""

    @flow
    def loads() -> None:
        first = create_progress_artifact(0.0, key="rows")
        assert update_progress_artifact(first, 50) == first
        update_progress_artifact(str(first), 1000)

    with recorder() as seen:
        loads()
    first, second, third = seen.of(ArtifactCreated)
    assert shown(seen) == [("rows", "progress", 0.0), ("rows", "progress", 50.0), ("", "progress", 100.0)]
    assert (first.artifact, second.artifact, third.artifact) == ("", first.id, first.id)


def test_async_flows_may_await_them() -> None:
    """As Prefect's scripts do."""

    @flow
    async def shows() -> str:
        made = await create_markdown_artifact("hello", key="words")
        return str(await update_progress_artifact(await create_progress_artifact(1), 2)) and made.key

    assert asyncio.run(shows()) == "words"


def test_outside_of_runs_they_do_nothing() -> None:
    with recorder() as seen:
        assert len(create_table_artifact([[1, 2]])) == 32
    assert seen.events == []


@pytest.mark.parametrize("given", [float("nan"), None, "half"], ids=str)
def test_what_is_no_number_is_left_out(given: Any) -> None:
    """With a line in the log; the run goes on."""

    @flow
    def sloppy() -> None:
        create_progress_artifact(given, key="rows")

    with recorder() as seen:
        sloppy()
    assert shown(seen) == []
    assert "Artifact rows is no finite number" in warnings(seen)[0]


@pytest.mark.parametrize(
    "large",
    [[{"n": number, "text": "x" * 50} for number in range(1000)], {"n": list(range(9000)), "m": ["y"] * 9000}],
    ids=["rows", "columns"],
)
def test_a_large_table_is_cut_to_its_first_rows(monkeypatch: pytest.MonkeyPatch, large: Any) -> None:
    """Within the bound, and the log says so."""
    monkeypatch.setenv("FLOWTELL_CAPTURE__MAX_ARTIFACT_BYTES", "5000")

    @flow
    def large_one() -> None:
        create_table_artifact(large, key="all")

    with recorder() as seen:
        large_one()
    [(_, _, kept)] = shown(seen)
    first = kept[0] if isinstance(kept, list) else kept["n"][0]
    assert first == (large[0] if isinstance(large, list) else 0)
    assert 30 < (len(kept) if isinstance(kept, list) else len(kept["n"])) < 900
    assert "was cut to its beginning" in warnings(seen)[0]


def test_a_long_text_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWTELL_CAPTURE__MAX_ARTIFACT_BYTES", "100")

    @flow
    def long_one() -> None:
        create_markdown_artifact("word " * 1000)

    with recorder() as seen:
        long_one()
    [(_, _, kept)] = shown(seen)
    assert kept.startswith("word word")
    assert len(kept) <= 100


def test_what_json_cannot_hold_fails_nothing() -> None:
    """What holds itself is left out; a value that JSON lacks is shown as its repr."""
    endless: list[Any] = []
    endless.append(endless)

    @flow
    def strange() -> str:
        create_table_artifact(endless, key="endless")
        create_table_artifact([{"range": range(3)}])
        return "fine"

    with recorder() as seen:
        assert strange() == "fine"
    assert seen.of(FlowRunFinished)[0].state == "completed"
    assert "is nothing that JSON can hold" in warnings(seen)[0]
    assert [key for key, _, _ in shown(seen)] == [""]


def test_an_effect_does_not_get_the_contents() -> None:
    """They are values that a user passed, the description too."""
    event = ArtifactCreated(id="a", key="sums", kind="table", data=[[1]], description="Of Mrs Smith.")
    [told] = without_values([event])
    assert (told.key, told.kind, told.data, told.description) == ("sums", "table", None, "")  # type: ignore[attr-defined]
