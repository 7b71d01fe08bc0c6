"""Tasks that make assets, and how the graph between assets comes about."""

from __future__ import annotations

from typing import Any

import pytest

from flowtell import Asset, flow, materialize, task
from flowtell.errors import BadAssetKey
from flowtell.events import AssetChecked, AssetDeclared, AssetFailed, AssetMaterialized, AssetMaterializing
from flowtell.testing import Recorder, recorder

RAW = Asset("file://shop/raw.csv", name="Raw orders", owners=["data@shop.example"], tags=["raw"])


@materialize(RAW)
def extract() -> list[int]:
    return [3, 1, 2]


@materialize("postgres://shop/public/orders")
def load(rows: Any) -> None: ...


def upstream_of(seen: Recorder, key: str) -> list[tuple[str, str]]:
    [materialized] = [event for event in seen.of(AssetMaterialized) if event.asset == key]
    return [(one.asset, one.evidence) for one in materialized.upstream]


def test_a_run_that_completes_has_materialized_its_assets() -> None:
    """One event when it begins, one when it is done."""
    with recorder() as seen:
        extract()
    assert [event.asset for event in seen.of(AssetMaterializing)] == ["file://shop/raw.csv"]
    assert [event.asset for event in seen.of(AssetMaterialized)] == ["file://shop/raw.csv"]


def test_an_asset_is_told_about_once() -> None:
    """With its name, owners and tags, before it is first made."""
    with recorder() as seen:
        extract()
        extract()
    [declared] = seen.of(AssetDeclared)
    assert (declared.asset, declared.name, declared.owners, declared.tags) == (
        "file://shop/raw.csv", "Raw orders", ("data@shop.example",), ("raw",),
    )  # fmt: skip


def test_a_result_passed_on_is_an_edge() -> None:
    """The very object that made the way from one task to the other is the evidence."""

    @flow
    def etl() -> None:
        load(extract())

    with recorder() as seen:
        etl()
    assert upstream_of(seen, "postgres://shop/public/orders") == [("file://shop/raw.csv", "object")]


def test_a_future_passed_on_is_an_edge() -> None:
    """A future says for certain where its result came from."""

    @flow
    def etl() -> None:
        load.submit(extract.submit())

    with recorder() as seen:
        etl()
    assert upstream_of(seen, "postgres://shop/public/orders") == [("file://shop/raw.csv", "future")]


def test_plain_tasks_hand_on_what_came_in() -> None:
    """A task that makes no asset passes the assets behind its inputs on to what is made of its result."""

    @task
    def clean(rows: list[int]) -> list[int]:
        return sorted(rows)

    @flow
    def etl() -> None:
        load(clean(extract()))

    with recorder() as seen:
        etl()
    assert upstream_of(seen, "postgres://shop/public/orders") == [("file://shop/raw.csv", "object")]


def test_dependencies_can_be_declared() -> None:
    """`asset_deps` on the task that makes, or on a plain one that hands on."""

    @task(asset_deps=["s3://lake/prices"])
    def prices() -> dict[str, int]:
        return {"a": 1}

    @materialize("s3://lake/report", asset_deps=[RAW])
    def report(given: Any) -> None: ...

    @flow
    def etl() -> None:
        report(prices())

    with recorder() as seen:
        etl()
    assert upstream_of(seen, "s3://lake/report") == [("file://shop/raw.csv", "declared"), ("s3://lake/prices", "object")]


def test_data_is_followed_through_subflows() -> None:
    """Into a flow that is called, and out of it."""

    @flow
    def extracts() -> list[int]:
        return extract()

    @flow
    def loads(rows: list[int]) -> None:
        load(rows)

    @flow
    def etl() -> None:
        loads(extracts())

    with recorder() as seen:
        etl()
    assert upstream_of(seen, "postgres://shop/public/orders") == [("file://shop/raw.csv", "object")]


def test_what_cannot_be_followed_is_named() -> None:
    """A new object made of a result may come from anywhere: no edge is guessed, the argument is listed."""

    @flow
    def etl() -> None:
        load([row + 1 for row in extract()])

    with recorder() as seen:
        etl()
    [materialized] = [event for event in seen.of(AssetMaterialized) if event.task == "load"]
    assert (materialized.upstream, materialized.unfollowed) == ((), ("rows",))


def test_a_failed_run_has_failed_its_assets() -> None:
    """With the state and what went wrong."""

    @materialize("s3://lake/broken")
    def broken() -> None:
        raise ValueError("no rows")

    with recorder() as seen, pytest.raises(ValueError, match="no rows"):
        broken()
    [failed] = seen.of(AssetFailed)
    assert (failed.asset, failed.state, failed.error and failed.error.message) == ("s3://lake/broken", "failed", "no rows")
    assert seen.of(AssetMaterialized) == []


def test_a_task_can_say_more_about_what_it_makes() -> None:
    """`add_metadata` inside the task; elsewhere, of another asset, it is refused."""
    asset = Asset("s3://lake/orders")

    @materialize(asset, by="duckdb")
    def make() -> None:
        asset.add_metadata({"rows": 3})
        asset.add_metadata({"source": "shop"})

    @materialize("s3://lake/other")
    def wrong() -> None:
        asset.add_metadata({"rows": 3})

    with recorder() as seen:
        make()
        with pytest.raises(ValueError, match="task 'wrong' does not make s3://lake/orders"):
            wrong()
    [made] = seen.of(AssetMaterialized)
    assert (made.metadata, made.by) == ({"rows": 3, "source": "shop"}, "duckdb")


def test_each_output_can_have_its_own_dependencies() -> None:
    """A mapping in `asset_deps`: assets, and names of the parameters through which assets come in."""

    @materialize(
        "s3://lake/by_day", "s3://lake/total", asset_deps={"s3://lake/by_day": ["orders"], "s3://lake/total": [RAW]}
    )
    def summarize(orders: Any) -> None: ...

    @materialize("s3://lake/orders")
    def orders() -> list[int]:
        return [1, 2]

    @flow
    def etl() -> None:
        summarize(orders())

    with recorder() as seen:
        etl()
    assert upstream_of(seen, "s3://lake/by_day") == [("s3://lake/orders", "object")]
    assert upstream_of(seen, "s3://lake/total") == [("file://shop/raw.csv", "declared")]


def test_a_body_says_what_it_reads_and_makes() -> None:
    """`observe` what is read, `materialize` with facts, once for each partition."""
    report = Asset("s3://lake/report")

    @materialize(report)
    def make() -> None:
        RAW.observe(version="v3")
        for day in ("2026-11-19", "2026-11-20"):
            report.materialize(partition=day, rows=10)

    with recorder() as seen:
        make()
    first, second = seen.of(AssetMaterialized)
    assert (first.partition, second.partition, second.rows) == ("2026-11-19", "2026-11-20", 10)
    assert [(one.asset, one.version, one.evidence) for one in second.upstream] == [("file://shop/raw.csv", "v3", "read")]


def test_a_check_is_a_fact() -> None:
    """It is told and returned; what to do about it is the code's."""
    report = Asset("s3://lake/report")

    @task
    def look() -> None:
        if not report.check("not empty", False, value=0, severity="warn"):
            report.check("was empty before", True)

    with recorder() as seen:
        look()
    assert [(one.check, one.passed) for one in seen.of(AssetChecked)] == [("not empty", False), ("was empty before", True)]


def test_columns_have_origins() -> None:
    """By column, the asset and column that it comes from."""

    @materialize("s3://lake/report", columns={"amount": [(RAW, "price")]})
    def make() -> None: ...

    with recorder() as seen:
        make()
    [made] = seen.of(AssetMaterialized)
    assert [(one.asset, one.column) for one in made.columns[0].origins] == [("file://shop/raw.csv", "price")]
    assert upstream_of(seen, "s3://lake/report") == [("file://shop/raw.csv", "column")]


def test_which_asset_is_made_can_be_said_at_the_call() -> None:
    """`with_options(assets=…)` is the way to a key that is known only when the flow runs."""
    with recorder() as seen:
        extract.with_options(assets=["file://shop/2026-11-20.csv"])()
    assert [event.asset for event in seen.of(AssetMaterialized)] == ["file://shop/2026-11-20.csv"]


@pytest.mark.parametrize("key", ["orders", "S3://bucket/x", "s3://", "s3://a b", "s3://x?y", "a-b://x", "s3://" + "x" * 600])
def test_a_key_is_a_uri(key: str) -> None:
    """`scheme://rest` by Prefect's rule; anything else is refused when it is written."""
    with pytest.raises(BadAssetKey, match="A key looks like"):
        Asset(key)


def test_an_asset_is_its_key() -> None:
    """Two with the same key are the same asset, and none can be changed."""
    assert {Asset("s3://a/b", name="one"), Asset("s3://a/b")} == {Asset("s3://a/b")}
    with pytest.raises(AttributeError, match="does not change"):
        RAW.name = "other"
