"""What a body says of assets, dependencies of one output, how runs end for their assets, and Prefect's spelling."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from flowtell import flow, materialize, task
from flowtell.assets import Asset, AssetProperties, UpstreamAsset, add_asset_metadata
from flowtell.errors import BadAssetKey, BadColumns, BadDependencies, MetadataOutsideTask
from flowtell.events import (
    AssetChecked,
    AssetDeclared,
    AssetFailed,
    AssetMaterialized,
    AssetMaterializing,
    AssetObserved,
    ColumnSource,
    Event,
    LogRecorded,
)
from flowtell.testing import Recorder, recorder

ORDERS, PRICES = Asset("s3://lake/orders"), Asset("s3://lake/prices")
BY_DAY, TOTAL = Asset("s3://lake/by_day"), Asset("s3://lake/total")


class Frame:
    """An object that can be followed."""


def the(seen: Recorder, kind: type[Event], asset: Asset) -> Any:
    [event] = [one for one in seen.of(kind) if getattr(one, "asset", "") == asset.key]
    return event


def edges(event: Any) -> list[tuple[str, str]]:
    return [(one.asset, one.evidence) for one in event.upstream]


# --- Prefect's spelling


def test_properties_are_an_assets_own() -> None:
    """`AssetProperties` says name, url, description and owners; Prefect's scripts read them back."""
    given = AssetProperties(name="Orders", url="https://wiki/orders", description="All.", owners=["data@shop.example"])
    asset = Asset("s3://lake/orders", properties=given)
    assert asset.properties == given
    assert Asset("s3://lake/orders").properties is None

    @materialize(asset)
    def make() -> None: ...

    with recorder() as seen:
        make()
    declared = the(seen, AssetDeclared, asset)
    assert (declared.name, declared.url, declared.description, declared.owners) == (
        "Orders", "https://wiki/orders", "All.", ("data@shop.example",),
    )  # fmt: skip


def test_a_bare_key_takes_nothing_back() -> None:
    """Where one place knows the owners and another only the key, the owners stay."""

    @materialize(Asset("s3://lake/owned", owners=["data"]))
    def make() -> None: ...

    @materialize(TOTAL, asset_deps=["s3://lake/owned"])
    def use() -> None: ...

    with recorder() as seen:
        make()
        use()
        make()
    assert the(seen, AssetDeclared, Asset("s3://lake/owned")).owners == ("data",)


def test_metadata_by_key() -> None:
    """`add_asset_metadata` for a key; refused for what the task does not make, and outside of tasks."""

    @materialize(ORDERS)
    def make() -> None:
        add_asset_metadata("s3://lake/orders", {"rows": 3})
        ORDERS.add_metadata({"source": "shop"})

    @task
    def plain() -> None:
        add_asset_metadata(ORDERS, {"rows": 3})

    @flow
    def only_a_flow() -> None:
        ORDERS.add_metadata({})

    with recorder() as seen:
        make()
    assert the(seen, AssetMaterialized, ORDERS).metadata == {"rows": 3, "source": "shop"}
    with recorder(), pytest.raises(ValueError, match="task 'plain' does not make s3://lake/orders"):
        plain()
    for outside in (only_a_flow, lambda: ORDERS.add_metadata({})):
        with recorder(), pytest.raises(RuntimeError, match="outside of a task run"):
            outside()
    assert issubclass(MetadataOutsideTask, RuntimeError)


def test_options_at_the_call() -> None:
    """`with_options` changes assets, dependencies and `by`; what it does not name stays."""

    @materialize(ORDERS, by="dbt", asset_deps=[PRICES])
    def make() -> None: ...

    with recorder() as seen:
        make.with_options(assets=[TOTAL], by="spark")()
        make.with_options(asset_deps=[BY_DAY])()
        task(lambda: None).with_options(assets=["s3://lake/late"])()
    total, orders = the(seen, AssetMaterialized, TOTAL), the(seen, AssetMaterialized, ORDERS)
    assert (total.by, edges(total)) == ("spark", [(PRICES.key, "declared")])
    assert (orders.by, edges(orders)) == ("dbt", [(BY_DAY.key, "declared")])
    assert the(seen, AssetMaterialized, Asset("s3://lake/late")).task == "lambda"


def test_nothing_to_make_is_refused() -> None:
    """As in Prefect: a TypeError for no asset, a ValueError for a key that is none."""
    with pytest.raises(TypeError):
        materialize()
    with pytest.raises(ValueError, match="A key looks like"):
        materialize("orders")(lambda: None)


def test_an_asset_goes_to_another_process() -> None:
    """With all that was said of it."""
    asset = Asset("s3://lake/orders", owners=["data"], tags=["pii"], metadata={"tier": 1})
    again = pickle.loads(pickle.dumps(asset))
    assert (again, again.described) == (asset, asset.described)


# --- dependencies of one output


def test_each_output_is_made_of_its_own() -> None:
    """Assets by key and by parameter; an output that is not listed is made of everything."""

    @materialize(ORDERS)
    def orders() -> Frame:
        return Frame()

    @materialize(BY_DAY, TOTAL, "s3://lake/log", asset_deps={BY_DAY: ["rows"], TOTAL.key: [PRICES, "rows"]})
    def summarize(rows: Any, other: Any) -> None: ...

    @task(asset_deps=["s3://lake/rates"])
    def rates() -> Frame:
        return Frame()

    @flow
    def etl() -> None:
        summarize(orders(), rates())

    with recorder() as seen:
        etl()
    assert edges(the(seen, AssetMaterialized, BY_DAY)) == [(ORDERS.key, "object")]
    assert edges(the(seen, AssetMaterialized, TOTAL)) == [(PRICES.key, "declared"), (ORDERS.key, "object")]
    assert edges(the(seen, AssetMaterialized, Asset("s3://lake/log"))) == [
        (PRICES.key, "declared"), (ORDERS.key, "object"), ("s3://lake/rates", "object"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "deps", [{ORDERS: ["rows"]}, {TOTAL: ["rowss"]}, {"total": ["rows"]}], ids=["no output", "no parameter", "no key"]
)
def test_a_mapping_that_names_nothing_is_refused(deps: Any) -> None:
    """When the task is decorated, not when it runs."""
    with pytest.raises((BadDependencies, BadAssetKey)):
        materialize(TOTAL, asset_deps=deps)(lambda rows: None)


# --- how runs end


def test_a_failed_attempt_leaves_nothing() -> None:
    """Metadata, facts and reads of the attempt that failed are not told of the one that completed."""
    tries: list[int] = []

    @materialize(ORDERS, retries=1)
    def make() -> None:
        tries.append(1)
        if len(tries) == 1:
            ORDERS.add_metadata({"first": True})
            ORDERS.materialize(rows=1, partition="wrong")
            PRICES.observe()
            raise ValueError("at first")
        ORDERS.materialize(rows=2)

    with recorder() as seen:
        make()
    made = the(seen, AssetMaterialized, ORDERS)
    assert (made.rows, made.partition, made.metadata, made.upstream) == (2, "", {}, ())
    assert len(seen.of(AssetMaterializing)) == 1
    assert seen.of(AssetFailed) == []


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt, "cancelled"), (SystemError, "failed"), (BaseException, "crashed")]
)
def test_each_bad_end_is_its_assets(error: type[BaseException], state: str) -> None:
    """Cancelled, failed and crashed runs say so of what they were making."""

    @materialize(ORDERS, TOTAL)
    def make() -> None:
        raise error("torn")

    with recorder() as seen, pytest.raises(error):
        make()
    assert [(one.asset, one.state) for one in seen.of(AssetFailed)] == [(ORDERS.key, state), (TOTAL.key, state)]
    assert seen.of(AssetMaterialized) == []


def test_a_skipped_run_touched_nothing() -> None:
    """It has not begun: its assets are neither made nor failed."""

    @task
    def fails() -> None:
        raise ValueError("no rows")

    @materialize(ORDERS)
    def make(rows: Any) -> None: ...

    @flow
    def etl() -> None:
        make.submit(fails.submit()).wait()

    with recorder() as seen:
        etl()
    assert seen.of(AssetMaterializing) + seen.of(AssetFailed) + seen.of(AssetMaterialized) == []


# --- statements


def test_what_is_made_is_told_with_its_facts() -> None:
    """One event for a decorated asset, when the run has completed; facts that are said twice add up."""

    @materialize(ORDERS)
    def make() -> None:
        ORDERS.materialize(rows=3, version="v1", metadata={"a": 1})
        ORDERS.materialize(bytes=99, metadata={"b": 2})

    with recorder() as seen:
        make()
    made = the(seen, AssetMaterialized, ORDERS)
    assert (made.rows, made.bytes, made.version, made.metadata) == (3, 99, "v1", {"a": 1, "b": 2})


def test_each_partition_is_a_materialization() -> None:
    """Whatever the order in which they are said."""

    @materialize(ORDERS)
    def make() -> None:
        for day in ("2026-11-19", "2026-11-20"):
            ORDERS.materialize(partition=day, rows=int(day[-2:]))

    with recorder() as seen:
        make()
    assert [(one.partition, one.rows) for one in seen.of(AssetMaterialized)] == [("2026-11-19", 19), ("2026-11-20", 20)]


def test_any_run_can_make_an_asset() -> None:
    """A plain task, with what came into it; a flow, with what it has read. What follows is made of it."""

    @materialize(ORDERS)
    def orders() -> Frame:
        return Frame()

    @task
    def report(rows: Any) -> Frame:
        PRICES.observe(version="v3")
        BY_DAY.materialize(rows=1)
        return Frame()

    @materialize(TOTAL)
    def total(rows: Any) -> None: ...

    @flow
    def etl() -> None:
        total(report(orders()))
        Asset("s3://lake/manifest").observe()
        Asset("s3://lake/done").materialize()
        Asset("s3://lake/copy").materialize(upstream=[ORDERS, UpstreamAsset(asset=PRICES.key, version="v3")])

    with recorder() as seen:
        etl()
    by_day = the(seen, AssetMaterialized, BY_DAY)
    assert (edges(by_day), by_day.task) == ([(ORDERS.key, "object"), (PRICES.key, "read")], "report")
    assert by_day.upstream[1].version == "v3"
    assert edges(the(seen, AssetMaterialized, TOTAL)) == [(BY_DAY.key, "object")]
    done = the(seen, AssetMaterialized, Asset("s3://lake/done"))
    assert (edges(done), done.task_run, done.flow) == ([("s3://lake/manifest", "read")], "", "etl")
    copied = the(seen, AssetMaterialized, Asset("s3://lake/copy"))
    assert [(one.asset, one.version, one.evidence) for one in copied.upstream] == [
        (ORDERS.key, "", "explicit"), (PRICES.key, "v3", "explicit"),
    ]  # fmt: skip


def test_an_asset_can_be_looked_at() -> None:
    """A read is an input of what the run makes; a look at an output is no edge."""

    @materialize(TOTAL)
    def total() -> None:
        PRICES.observe(rows=7, partition="2026", metadata={"fresh": True})
        TOTAL.observe("output", rows=2)

    with recorder() as seen:
        total()
    read, looked = the(seen, AssetObserved, PRICES), the(seen, AssetObserved, TOTAL)
    assert (read.role, read.rows, read.partition, read.metadata) == ("read", 7, "2026", {"fresh": True})
    assert (looked.role, looked.rows) == ("output", 2)
    made = the(seen, AssetMaterialized, TOTAL)
    assert [(one.asset, one.partition, one.evidence) for one in made.upstream] == [(PRICES.key, "2026", "read")]
    with pytest.raises(ValueError, match="not 'input'"):
        PRICES.observe("input")


def test_a_check_is_a_fact() -> None:
    """Its result is told and returned; a failed one raises nothing."""

    @task
    def look() -> list[bool]:
        return [
            ORDERS.check("not empty", len("abc") > 2, value=3),
            ORDERS.check("no nulls", [], severity="warn", column="price", partition="2026", value={"nulls": 2}),
        ]

    with recorder() as seen:
        assert look() == [True, False]
    first, second = seen.of(AssetChecked)
    assert (first.asset, first.check, first.passed, first.severity, first.value) == (
        ORDERS.key, "not empty", True, "error", 3,
    )  # fmt: skip
    assert (second.passed, second.severity, second.column, second.partition, second.value, second.task) == (
        False, "warn", "price", "2026", {"nulls": 2}, "look",
    )  # fmt: skip
    with pytest.raises(ValueError, match="not 'fatal'"):
        ORDERS.check("x", True, severity="fatal")


def test_outside_a_run_nothing_is_said() -> None:
    """A function can be tested by its `.fn`; a check still answers."""
    with recorder() as seen:
        ORDERS.materialize(rows=1)
        ORDERS.observe()
        assert ORDERS.check("x", 1) is True
    assert list(seen.events) == []


def test_a_wrong_figure_is_left_out() -> None:
    """With a line in the log; what metadata cannot hold is described, and no event is lost for it."""
    loop: dict[str, Any] = {}
    loop["me"] = loop

    @materialize(ORDERS)
    def make() -> None:
        ORDERS.materialize(rows=-1, bytes="many", metadata={"loop": loop, "password": "x", "good": 1})  # type: ignore[arg-type]

    with recorder() as seen:
        make()
    made = the(seen, AssetMaterialized, ORDERS)
    assert (made.rows, made.bytes, made.metadata["good"], made.metadata["password"]) == (None, None, 1, "********")
    assert [event.message[:24] for event in seen.of(LogRecorded)] == ["rows is no count and was", "bytes is no count and wa"]


# --- columns


def test_columns_are_declared() -> None:
    """Of the one asset, or by asset; the assets that they come from are upstream."""

    @materialize(TOTAL, columns={"sum": [(ORDERS, "price"), ("s3://lake/prices", "rate", "product")]}, sql="SELECT 1")
    def total() -> None: ...

    @materialize(BY_DAY, TOTAL, columns={BY_DAY: {"day": [(ORDERS, "time")]}})
    def both() -> None: ...

    with recorder() as seen:
        total()
    made = the(seen, AssetMaterialized, TOTAL)
    assert made.columns[0].origins == (
        ColumnSource(asset=ORDERS.key, column="price"),
        ColumnSource(asset=PRICES.key, column="rate", transformation="product"),
    )
    assert (edges(made), made.sql) == ([(ORDERS.key, "column"), (PRICES.key, "column")], "SELECT 1")
    with recorder() as seen:
        both()
    assert [column.name for column in the(seen, AssetMaterialized, BY_DAY).columns] == ["day"]
    assert (the(seen, AssetMaterialized, TOTAL).columns, the(seen, AssetMaterialized, TOTAL).upstream) == ((), ())


@pytest.mark.parametrize("columns", [{"sum": ["price"]}, {ORDERS: {}}, {"sum": [(ORDERS,)]}])
def test_columns_that_mean_nothing_are_refused(columns: Any) -> None:
    """When the task is decorated."""
    with pytest.raises(BadColumns):
        materialize(TOTAL, columns=columns)(lambda: None)
