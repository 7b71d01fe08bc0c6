"""Rows, size and columns of what a materializing task returns, from the real libraries; and of objects that lie."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowtell import Asset, materialize
from flowtell.engine.shapes import shape_of
from flowtell.events import AssetMaterialized, Column, ColumnSource
from flowtell.testing import recorder

ORDERS, TOTAL = Asset("s3://lake/orders"), Asset("s3://lake/total")
WHY = "shapes are read from this library's own objects"


def made_of(value: Any, *assets: Asset) -> list[AssetMaterialized]:
    @materialize(*(assets or (ORDERS,)))
    def make() -> Any:
        return value

    with recorder() as seen:
        assert make() is value
    return list(seen.of(AssetMaterialized))


def names_and_types(event: AssetMaterialized) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in event.columns]


def test_a_pandas_frame() -> None:
    """And a series, which is one column."""
    pandas = pytest.importorskip("pandas", reason=WHY)
    frame = pandas.DataFrame({"id": [1, 2, 3], "price": [1.5, 2.5, None]})
    [event] = made_of(frame)
    assert (event.rows, names_and_types(event)) == (3, [("id", "int64"), ("price", "float64")])
    assert event.bytes == frame.memory_usage().sum()
    [event] = made_of(frame["price"])
    assert (event.rows, names_and_types(event)) == (3, [("price", "float64")])


def test_a_polars_frame() -> None:
    """A lazy one is not collected: nothing is said of it."""
    polars = pytest.importorskip("polars", reason=WHY)
    frame = polars.DataFrame({"id": [1, 2], "name": ["a", "b"]})
    [event] = made_of(frame)
    assert (event.rows, event.bytes, names_and_types(event)) == (
        2,
        frame.estimated_size(),
        [("id", "Int64"), ("name", "String")],
    )
    [event] = made_of(frame.lazy())
    assert (event.rows, event.bytes, event.columns) == (None, None, ())


def test_an_arrow_table() -> None:
    """And a record batch."""
    pyarrow = pytest.importorskip("pyarrow", reason=WHY)
    table = pyarrow.table({"id": [1, 2], "name": ["a", "b"]})
    for value in (table, table.to_batches()[0]):
        [event] = made_of(value)
        assert (event.rows, event.bytes, names_and_types(event)) == (2, value.nbytes, [("id", "int64"), ("name", "string")])


def test_a_duckdb_relation_is_not_run() -> None:
    """Its columns are known; its rows would take the query."""
    duckdb = pytest.importorskip("duckdb", reason=WHY)
    with duckdb.connect() as connection:
        relation = connection.sql("SELECT 1 AS id, error('the query was run') AS name")
        [event] = made_of(relation)
        assert (event.rows, [name for name, _ in names_and_types(event)]) == (None, ["id", "name"])


def test_a_result_of_sqlalchemy() -> None:
    """Columns of what was selected, rows of what was written; the result can be read afterwards."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason=WHY)
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE orders (id, price)"))
        [event] = made_of(connection.execute(sqlalchemy.text("INSERT INTO orders VALUES (1, 2), (3, 4)")))
        assert (event.rows, event.columns) == (2, ())
        result = connection.execute(sqlalchemy.text("SELECT id, price FROM orders"))
        [event] = made_of(result)
        assert (event.rows, [name for name, _ in names_and_types(event)]) == (None, ["id", "price"])
        assert len(result.all()) == 2
    engine.dispose()


def test_several_outputs_by_key() -> None:
    """A returned dict says which value is which asset's; a tuple does not."""
    pandas = pytest.importorskip("pandas", reason=WHY)
    small, large = pandas.DataFrame({"a": [1]}), pandas.DataFrame({"b": [1, 2]})
    assert [event.rows for event in made_of({ORDERS.key: small, TOTAL: large}, ORDERS, TOTAL)] == [1, 2]
    assert [event.rows for event in made_of((small, large), ORDERS, TOTAL)] == [None, None]


def test_what_is_said_goes_before_what_is_read() -> None:
    """Rows written are not always rows returned; a declared column keeps its type."""
    pandas = pytest.importorskip("pandas", reason=WHY)

    @materialize(ORDERS, columns={"id": [(TOTAL, "key")], "gone": [(TOTAL, "old")]})
    def make() -> Any:
        ORDERS.materialize(rows=100)
        return pandas.DataFrame({"id": [1], "price": [2]})

    with recorder() as seen:
        make()
    [event] = seen.of(AssetMaterialized)
    assert (event.rows, event.columns) == (
        100,
        (
            Column(name="id", type="int64", origins=(ColumnSource(asset=TOTAL.key, column="key"),)),
            Column(name="price", type="int64"),
            Column(name="gone", origins=(ColumnSource(asset=TOTAL.key, column="old"),)),
        ),
    )


def lying(answers: Callable[[], Any]) -> Any:
    """A frame whose every answer is what `answers` gives, or raises."""
    pandas = pytest.importorskip("pandas", reason=WHY)

    class Lying(pandas.DataFrame):  # type: ignore[misc, name-defined]
        __len__ = memory_usage = lambda *_, **__: answers()
        columns = dtypes = property(lambda _: answers())

    return Lying.__new__(Lying)


def broken() -> Any:
    raise RuntimeError("no answer")


def endless() -> Iterator[tuple[int, str]]:
    while True:
        yield 1, "x" * 10_000


@pytest.mark.parametrize(
    "answers",
    [broken, lambda: -1, object, lambda: None, lambda: 10**30],
    ids=["raises", "below 0", "no number", "none", "vast"],
)
def test_a_broken_or_lying_object_has_no_shape(answers: Callable[[], Any]) -> None:
    """And the task completes."""
    [event] = made_of(lying(answers))
    assert (event.rows, event.bytes, event.columns) == (None, None, ())


def test_columns_are_bounded() -> None:
    """However many there are, and however long their names."""
    pandas = pytest.importorskip("pandas", reason=WHY)

    class Wide(pandas.DataFrame):  # type: ignore[misc, name-defined]
        columns = dtypes = property(lambda _: endless())

    columns = shape_of(Wide.__new__(Wide))["columns"]
    assert (len(columns), len(columns[0].name)) == (2_000, 300)


def test_nothing_is_imported_for_it() -> None:
    """A task that returns something else loads none of the libraries."""
    code = (
        "import sys\nfrom flowtell import materialize\n"
        "@materialize('s3://lake/orders')\ndef make(): return {'a': 1}\n"
        "make()\n"
        "print(sorted({'pandas', 'polars', 'pyarrow', 'duckdb', 'sqlalchemy', 'numpy', 'sqlglot'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
