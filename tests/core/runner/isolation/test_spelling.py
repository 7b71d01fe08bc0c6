"""Statements and tables go into plain data and come back as the same SQL, or are refused by name."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from typing import Any

import msgspec
import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from flowtell.runner.isolation import grammar as g
from flowtell.runner.isolation import messages as m
from flowtell.runner.isolation.building import Builder, tables_from
from flowtell.runner.isolation.spelling import spelling_of
from flowtell.runner.isolation.table_spelling import tables_of
from flowtell.runner.isolation.values import CannotCross, plain_rows, value_of
from flowtell.store.tables import cursors, runs

own = MetaData()
t = Table(
    "bad_t",
    own,
    Column("k", String(40), primary_key=True),
    Column("n", BigInteger().with_variant(Integer, "sqlite"), nullable=False, server_default=""),
    Column("at", DateTime(timezone=True)),
    Column("price", Numeric(10, 2)),
    Column("more", JSON),
    Column("blob", LargeBinary),
    UniqueConstraint("n", "at"),
    sqlite_with_rowid=False,
)
t2, t3 = t.alias("later"), t.alias("third")
Index("bad_t_n", t.c.n, sqlite_where=t.c.n > 3)
Index("bad_t_lower", func.lower(t.c.k), unique=True)

_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}


@pytest.fixture(params=_DIALECTS)
def dialect(request):
    return _DIALECTS[request.param].dialect()


def upsert(dialect: Any) -> Any:
    statement = _DIALECTS[dialect.name].insert(t)
    changes = {"n": t.c.n + statement.excluded.n + 1, "k": func.coalesce(statement.excluded.k, t.c.k)}
    return statement.on_conflict_do_update(index_elements=["k"], set_=changes, where=t.c.n < statement.excluded.n)


TAKEN = {
    "insert": lambda d: insert(t),
    "insert of values": lambda d: insert(t).values(n=1, k="x"),
    "insert of rows": lambda d: insert(t).values([{"n": 1, "k": "a"}, {"n": 2, "k": "b"}]),
    "insert of an expression": lambda d: insert(t).values(k=func.upper(bindparam("name")), n=func.abs(-1)),
    "insert or update": upsert,
    "insert or nothing": lambda d: _DIALECTS[d.name].insert(t).on_conflict_do_nothing(index_elements=["k"]),
    "insert or nothing at all": lambda d: _DIALECTS[d.name].insert(t).on_conflict_do_nothing(),
    "update": lambda d: update(t).values(n=t.c.n * 2 - 1),
    "update by column": lambda d: update(t).values({t.c.n: bindparam("new")}).where(t.c.k == bindparam("key")),
    "update of rows": lambda d: update(t).where(t.c.k == bindparam("key")),
    "case": lambda d: update(t).values(n=case((t.c.n > 1, 2), (t.c.n.is_(None), -t.c.n), else_=t.c.n)),
    "cast": lambda d: update(t).values(n=cast(t.c.k, Integer)),
    "delete": lambda d: delete(t),
    "and, or, not": lambda d: delete(t).where(t.c.n == 1, not_(or_(t.c.n > 5, t.c.k.is_(None))), t.c.k.is_not(None)),
    "in a list": lambda d: delete(t).where(t.c.n.in_([1, 2]), t.c.k.not_in(["a"])),
    "in an empty list": lambda d: delete(t).where(t.c.n.in_([])),
    "in a query": lambda d: delete(t).where(t.c.k.in_(select(t.c.k).where(t.c.n < bindparam("n")).distinct())),
    "in a union": lambda d: delete(t).where(not_(t.c.k.in_(union(select(t.c.k), select(runs.c.id))))),
    "scalar query": lambda d: delete(t).where(t.c.n < select(func.max(cursors.c.seq)).scalar_subquery()),
    "exists": lambda d: delete(t).where(
        exists().where(t2.c.k == t.c.k, t2.c.n > t.c.n), not_(exists().where(runs.c.id == t.c.k))
    ),
    "two aliases": lambda d: delete(t).where(exists().where(t2.c.k == t3.c.k, t3.c.n > t.c.n)),
    "like": lambda d: delete(t).where(t.c.k.like("a%"), t.c.k.not_like("b%")),
    "sums": lambda d: delete(t).where((t.c.n + 1) * 3 - t.c.n / 2 >= 4, t.c.k + "a" != "b", t.c.n % 2 == 0),
    "values of many kinds": lambda d: insert(t).values(
        k="x",
        n=1,
        at=dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC),
        price=decimal.Decimal("1.10"),
        more={"a": [1, None]},
        blob=b"\xff",
    ),
}


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN)
def test_a_statement_comes_back_as_the_same_sql(dialect, make):
    """Through the bytes of the pipe, on both stores, with the same values."""
    statement = make(dialect)
    server = tables_from(tables_of(own, dialect))
    line = spelling_of(statement, dialect, server)
    built = Builder(server).statement(m.decode_statement(line))
    wanted, made = statement.compile(dialect=dialect), built.compile(dialect=dialect)
    assert str(made) == str(wanted)
    assert made.params == wanted.params
    assert built.table is server.tables["bad_t"]


class Size(enum.Enum):
    SMALL = 1


REFUSED = {
    "text": text("DROP TABLE runs"),
    "select": select(t),
    "object": object(),
    "text inside": delete(t).where(text("1=1")),
    "literal column": delete(t).where(literal_column("1") == 1),
    "own operator": delete(t).where(t.c.n.op("||")(1) == 2),
    "any function": delete(t).where(func.load_extension("x") == 1),
    "function of a package": delete(t).where(func.pg_catalog.lower(t.c.k) == "x"),
    "returning": insert(t).returning(t.c.k),
    "prefix": insert(t).prefix_with("OR REPLACE"),
    "from a query": insert(t).from_select(["k"], select(t.c.k)),
    "limit": delete(t).where(t.c.n.in_(select(t.c.n).limit(3))),
    "exists of a query": delete(t).where(exists(select(t.c.k))),
    "an alias without a name": delete(t).where(exists().where(t.alias().c.k == t.c.k)),
    "an alias of nobody's table": delete(t).where(
        exists().where(Table("other", MetaData(), Column("k", String)).alias("later").c.k == t.c.k)
    ),
    "escape": delete(t).where(t.c.k.like("a/%", escape="/")),
    "a table of nobody": delete(t).where(t.c.k.in_(select(Table("other", MetaData(), Column("k", String)).c.k))),
    "an object inside": insert(t).values(k=object()),
    "a type of one's own": delete(t).where(t.c.k == bindparam("x", type_=Enum(Size))),
}


@pytest.mark.parametrize("statement", REFUSED.values(), ids=REFUSED)
def test_what_has_no_spelling_is_refused(statement):
    """Rather than told in part."""
    dialect = sqlite.dialect()
    with pytest.raises(CannotCross):
        spelling_of(statement, dialect, tables_from(tables_of(own, dialect)))


TABLES = {
    "foreign key": lambda: Column("x", ForeignKey("bad_t.k")),
    "check": lambda: CheckConstraint("k > 0"),
    "default of Python": lambda: Column("x", Integer, default=3),
    "update of Python": lambda: Column("x", Integer, onupdate=3),
    "default as SQL": lambda: Column("x", Integer, server_default=text("(random())")),
    "enum": lambda: Column("x", Enum(Size)),
}


@pytest.mark.parametrize("part", TABLES.values(), ids=TABLES)
def test_a_table_that_cannot_be_told_is_refused(part):
    """By what it has."""
    metadata = MetaData()
    Table("bad_t", metadata, Column("k", String, primary_key=True))
    Table("bad_u", metadata, Column("k", String, primary_key=True), part())
    with pytest.raises(CannotCross):
        tables_of(metadata, sqlite.dialect())


HOSTILE = {
    "another's table": g.Delete("runs"),
    "no table": g.Delete(""),
    "another's column": g.Delete("bad_t", (g.Operation("eq", (g.ColumnOf("good_seen", "flow"), g.Constant("null"))),)),
    "an unknown operator": g.Delete("bad_t", (g.Operation("custom_op", (g.Constant("true"), g.Constant("true"))),)),
    "an unknown function": g.Delete("bad_t", (g.Call("pg_read_file", (g.Value("x", "/etc/passwd"),)),)),
    "an unknown constant": g.Delete("bad_t", (g.Constant("DROP TABLE runs"),)),
    "a parameter's name": g.Delete("bad_t", (g.Named("x) OR 1=1 --"),)),
    "an alias's name": g.Delete("bad_t", (g.Exists((g.ColumnOf("bad_t", "k", "x) --"),)),)),
    "an alias of another's table": g.Delete("bad_t", (g.Exists((g.ColumnOf("good_seen", "flow", "x"),)),)),
    "a value's name": g.Delete("bad_t", (g.Value("x') --", 1),)),
    "an unknown type": g.Delete("bad_t", (g.Cast(g.Constant("null"), g.TypeOf("PickleType")),)),
    "an unknown dialect": g.Insert("bad_t", dialect="os"),
    "no excluded": g.Insert("bad_t", (("k", g.Excluded("k")),)),
}


@pytest.mark.parametrize("spelled", HOSTILE.values(), ids=HOSTILE)
def test_the_server_builds_nothing_else(spelled):
    """Whatever a process says that runs somebody's code: it becomes a statement on its own tables, or an error."""
    with pytest.raises((CannotCross, KeyError, TypeError)):
        Builder(own).statement(m.decode_statement(m.encode(spelled)))


def test_names_are_quoted():
    """A column may be named like SQL; it stays a name."""
    name = 'k" TEXT); DROP TABLE runs; --'
    spelled = (g.TableMade("bad_t", (g.ColumnMade(name, g.TypeOf("Text")),)),)
    built = Builder(tables_from(spelled)).statement(
        g.Delete("bad_t", (g.Operation("is_", (g.ColumnOf("bad_t", name), g.Constant("null"))),))
    )
    assert '"k"" TEXT); DROP TABLE runs; --" IS NULL' in str(built.compile(dialect=sqlite.dialect()))


def test_values_of_rows_come_back_as_they_were():
    """Every kind that a store takes; a number or text of a class of one's own as a plain one."""

    class Level(enum.IntEnum):
        HIGH = 3

    values = {
        "null": None,
        "truth": True,
        "number": 2**62,
        "fraction": 1.5,
        "text": "ü",
        "bytes": b"\0\xff",
        "moment": dt.datetime(2026, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001  # one without a zone is what is tested
        "moment in a zone": dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=5))),
        "day": dt.date(2026, 1, 2),
        "time": dt.time(1, 2, 3),
        "decimal": decimal.Decimal("1.10"),
        "uuid": uuid.UUID(int=7),
        "json": {"a": [1, {"b": None}]},
    }
    rows = plain_rows([values, {**values, "level": Level.HIGH}])
    decoded = msgspec.msgpack.decode(m.encode(rows), ext_hook=value_of)
    assert decoded == [values, {**values, "level": 3}]
    with pytest.raises(CannotCross):
        plain_rows([{"thing": object()}])
