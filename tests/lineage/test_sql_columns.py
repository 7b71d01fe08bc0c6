"""Which columns a statement's columns come from, and what cannot be said."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from flowtell.events import AssetMaterialized, Column, ColumnSource
from flowtell.ids import new_id
from flowtell.testing import FakeClock, PluginHarness
from flowtell_lineage import tables
from flowtell_lineage.plugin import create
from flowtell_lineage.reading import whole_graph
from flowtell_lineage.sql_columns import columns_of_sql, columns_told

MADE = "postgres://shop/public/orders"
LINES, PRICES = "postgres://shop/public/lines", "postgres://shop/raw/prices"

pytest.importorskip("sqlglot", reason="columns are read by sqlglot")


def read(sql: str, made: str = MADE, *upstream: str, dialect: str = "") -> dict[str, list[tuple[str, str, str]]]:
    return {
        column.name: sorted((one.asset, one.column, one.transformation) for one in column.origins)
        for column in columns_of_sql(sql, made, upstream, dialect)
    }


def test_a_query_names_its_columns() -> None:
    """Taken as they are, transformed, aggregated."""
    sql = "SELECT l.id, l.price * 2 AS twice, sum(l.price) OVER () AS total, count(*) AS rows FROM lines l"
    assert read(sql) == {
        "id": [(LINES, "id", "IDENTITY")],
        "twice": [(LINES, "price", "TRANSFORMATION")],
        "total": [(LINES, "price", "AGGREGATION")],
    }


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE orders AS SELECT l.id, p.rate * l.price AS amount FROM lines l JOIN raw.prices p ON p.id = l.id",
        "INSERT INTO orders (id, amount) SELECT l.id, p.rate * l.price FROM lines l JOIN raw.prices p ON p.id = l.id",
        "WITH j AS (SELECT l.id, l.price * p.rate AS amount FROM lines l, raw.prices p) SELECT id, amount FROM j",
        "SELECT id, amount FROM (SELECT l.id, l.price * p.rate AS amount FROM lines l, raw.prices p) AS inner_one",
        "DELETE FROM t; CREATE VIEW orders AS SELECT l.id, l.price + p.rate AS amount FROM lines l, raw.prices p",
    ],
    ids=["create", "insert", "with", "subquery", "several statements"],
)
def test_each_way_to_write_it_says_the_same(sql: str) -> None:
    """Through common table expressions and subqueries down to the tables; a schema that is written is kept."""
    assert read(sql) == {
        "id": [(LINES, "id", "IDENTITY")],
        "amount": [(LINES, "price", "TRANSFORMATION"), (PRICES, "rate", "TRANSFORMATION")],
    }


def test_a_union_has_both_sides() -> None:
    """By position."""
    assert read("SELECT a AS x FROM lines UNION ALL SELECT b FROM raw.prices") == {
        "x": [(LINES, "a", "IDENTITY"), (PRICES, "b", "IDENTITY")]
    }


def test_an_aggregation_below_stays_one() -> None:
    """The strongest transformation on the way counts."""
    assert read("SELECT s + 1 AS more FROM (SELECT sum(price) AS s FROM lines) AS t") == {
        "more": [(LINES, "price", "AGGREGATION")]
    }


def test_known_assets_are_matched_by_name() -> None:
    """Also those of another store; of two with one name none is guessed, and the one beside what is made is taken."""
    lake = "s3://lake/lines"
    assert read("SELECT id FROM lines", "s3://lake/orders", lake, "s3://lake/prices") == {"id": [(lake, "id", "IDENTITY")]}
    assert read("SELECT id FROM lines", "s3://lake/orders", lake, "s3://other/lines") == {}
    assert read("SELECT id FROM lines", MADE, lake, "s3://other/lines") == {"id": [(LINES, "id", "IDENTITY")]}
    assert read("SELECT id FROM public.lines", "s3://lake/orders", LINES) == {"id": [(LINES, "id", "IDENTITY")]}


def test_the_dialect_is_the_stores() -> None:
    """By the key's scheme, or as it is told."""
    big = "bigquery://project/shop/orders"
    assert read("SELECT id FROM `project.shop.lines`", big) == {
        "id": [("bigquery://project/shop/lines", "id", "IDENTITY")]
    } or read("SELECT id FROM `shop`.`lines`", big) == {"id": [("bigquery://project/shop/lines", "id", "IDENTITY")]}
    assert read("SELECT [id] FROM [lines]", "mssql://h/shop/dbo/orders") == {
        "id": [("mssql://h/shop/dbo/lines", "id", "IDENTITY")]
    }
    assert read("SELECT [id] FROM [lines]", MADE, dialect="tsql") == {"id": [(LINES, "id", "IDENTITY")]}


def test_a_star_is_left_out() -> None:
    """Its columns have no names without the tables' schemas; the others are read all the same."""
    assert read("SELECT *, l.id + 1 AS next FROM lines l") == {"next": [(LINES, "id", "TRANSFORMATION")]}


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "no sql at all (",
        "DROP TABLE orders",
        "SELECT 1",
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
        "x" * 300_000,
        "\0",
        "UPDATE t SET a = 1",
    ],
    ids=["nothing", "no sql", "drop", "constant", "deep", "long", "zero", "update"],
)
def test_what_cannot_be_read_is_nothing(sql: str) -> None:
    """And raises nothing."""
    assert read(sql) == {}


def test_a_wide_statement_is_bounded() -> None:
    """A thousand columns are kept."""
    sql = f"SELECT {', '.join(f'c{i} AS d{i}' for i in range(1_200))} FROM lines"
    assert len(read(sql)) == 1_000


def test_the_graph_has_the_columns_of_a_statement(tmp_path: Path) -> None:
    """Types from the value, origins from the SQL, and what was said of a column before what is read."""
    told = AssetMaterialized(
        id=new_id(),
        time=FakeClock().now,
        asset=MADE,
        sql="SELECT l.id, l.price AS cost FROM lines l",
        columns=(Column(name="id", type="int64"), Column(name="cost", origins=(ColumnSource(asset=PRICES, column="rate"),))),
    )
    assert columns_told(told) == (
        Column(name="id", type="int64", origins=(ColumnSource(asset=LINES, column="id", transformation="IDENTITY"),)),
        told.columns[1],
    )
    with PluginHarness(create, tmp_path, name="lineage") as harness:
        harness.feed([told])
        rows = harness.read(select(tables.columns.c.downstream_column, tables.columns.c.upstream_column))
        edges = whole_graph(harness.read).edges
    assert sorted(map(tuple, rows)) == [("cost", "rate"), ("id", "id")]
    assert sorted((edge.upstream, edge.evidence) for edge in edges) == [(LINES, "column"), (PRICES, "column")]
