"""Events on the wire: golden lines that are decoded for ever, and a decoder that nothing can upset."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import inspect as shapes

from flowtell import events as e
from flowtell.errors import MalformedEvent
from flowtell.ids import new_id
from flowtell.store.packing import pack, unpack

GOLDEN = Path(__file__).parent.parent / "golden"
VERSION = 1
KINDS = sorted(e.TYPES)


# --- golden lines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_every_type_has_a_golden_line_with_every_field(name):
    """A new type or field comes with a line; run this file as a program to write those that are missing."""
    line = golden_line(name)
    fields = json.loads(line)
    wanted = {field.encode_name for field in msgspec.structs.fields(e.TYPES[name])} - set(e.LOG_FIELDS)
    assert wanted | {"type"} == set(fields)
    defaults = {field.encode_name: field.default for field in msgspec.structs.fields(e.TYPES[name])}
    assert [key for key, value in fields.items() if key in defaults and value == defaults[key]] == []


@pytest.mark.parametrize("name", KINDS)
def test_a_golden_line_is_decoded_for_ever(name):
    """To the same type and the same fields, none missed, none changed; and it is written again as it was."""
    line = golden_line(name)
    event = e.decode(line)
    assert type(event) is e.TYPES[name]
    assert json.loads(e.encode(event)) == json.loads(line)


def test_no_golden_line_is_of_a_type_that_is_gone():
    """A type may be added, never taken away."""
    assert {path.name.split(".v")[0] for path in GOLDEN.glob("*.json")} == set(KINDS)


def golden_line(name: str) -> bytes:
    path = GOLDEN / f"{name}.v{VERSION}.json"
    assert path.exists(), f"tests/golden has no line for {name}"
    lines = path.read_bytes().splitlines()
    assert len(lines) == 1
    return lines[0]


def full(kind: type[e.Event]) -> e.Event:
    """An event with every field away from its default."""
    hints = typing.get_type_hints(kind)
    values = {f.name: _filled(hints[f.name], f.name) for f in msgspec.structs.fields(kind) if f.name not in e.LOG_FIELDS}
    values |= {
        "id": "019b76a5c80070008000000000000001",
        "time": 1_767_225_600_000_000,
        "run": "019b76a5c80070008000000000000002",
    }
    if "passed" in values:
        values["passed"] = False
    return kind(**values)


def _filled(hint: Any, name: str) -> Any:  # noqa: C901  # one case a shape
    shape = shapes.type_info(hint)
    if isinstance(shape, shapes.UnionType):
        shape = next(each for each in shape.types if not isinstance(each, shapes.NoneType))
    match shape:
        case shapes.BoolType():
            return True
        case shapes.IntType():
            return 7
        case shapes.FloatType():
            return 2.5
        case shapes.StrType():
            return f"a {name}"
        case shapes.AnyType():
            return {"nested": [1, "two", None]}
        case shapes.DictType():
            return {"a key": _of_shape(shape.value_type, name)}
        case shapes.VarTupleType():
            return (_of_shape(shape.item_type, name),)
        case shapes.TupleType():
            return tuple(_of_shape(each, name) for each in shape.item_types)
        case shapes.StructType():
            hints = typing.get_type_hints(shape.cls)
            return shape.cls(**{f.name: _filled(hints[f.name], f.name) for f in msgspec.structs.fields(shape.cls)})
        case other:
            raise AssertionError(other)


def _of_shape(shape: shapes.Type, name: str) -> Any:
    kinds: dict[type, Any] = {shapes.IntType: int, shapes.StrType: str, shapes.FloatType: float, shapes.AnyType: Any}
    if isinstance(shape, shapes.StructType):
        return _filled(shape.cls, name)
    if isinstance(shape, shapes.DictType):
        return {"a key": 1}
    return _filled(kinds[type(shape)], name)


# --- there and back -----------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.integers(-(2**63), 2**63 - 1)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def events(kind: type[e.Event]) -> st.SearchStrategy[e.Event]:
    hints = typing.get_type_hints(kind)
    fields = {f.name: _some(hints[f.name]) for f in msgspec.structs.fields(kind) if f.name not in e.LOG_FIELDS}
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: kind(**given))


def _some(hint: Any) -> st.SearchStrategy[Any]:
    shape = shapes.type_info(hint)
    if isinstance(shape, shapes.UnionType):
        return st.none() | st.one_of([_some_shape(each) for each in shape.types if not isinstance(each, shapes.NoneType)])
    return _some_shape(shape)


def _some_shape(shape: shapes.Type) -> st.SearchStrategy[Any]:
    match shape:
        case shapes.BoolType():
            return st.booleans()
        case shapes.IntType():
            return numbers
        case shapes.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case shapes.StrType():
            return words
        case shapes.AnyType():
            return values
        case shapes.DictType():
            return st.dictionaries(words, _some_shape(shape.value_type), max_size=2)
        case shapes.VarTupleType():
            return st.lists(_some_shape(shape.item_type), max_size=2).map(tuple)
        case shapes.TupleType():
            return st.tuples(*map(_some_shape, shape.item_types))
        case shapes.StructType():
            hints = typing.get_type_hints(shape.cls)
            fields = {f.name: _some(hints[f.name]) for f in msgspec.structs.fields(shape.cls)}
            return st.fixed_dictionaries(fields).map(lambda given: shape.cls(**given))
        case other:
            raise AssertionError(other)


any_event = st.sampled_from(KINDS).flatmap(lambda name: events(e.TYPES[name]))
own_event = st.builds(
    e.UserEvent,
    type=st.builds("{}.{}".format, st.sampled_from(["acme", "tomorrow"]), words),
    id=st.builds(new_id),
    run=words,
    payload=st.dictionaries(words, values, max_size=2),
    extra=st.dictionaries(words.filter(lambda key: key not in e.UserEvent.__struct_fields__), values, max_size=2),
)


@settings(max_examples=150)
@given(any_event | own_event)
def test_what_is_encoded_is_decoded_to_the_same(event):
    """For every type, whatever its fields hold; a type of one's own keeps fields that nobody here knows."""
    line = e.encode(event)
    assert b"\n" not in line
    assert e.decode(line) == event
    assert type(e.decode(line)) is type(event)


@settings(max_examples=200)
@given(any_event | own_event, st.sampled_from(["as written", "shuffled", "spaced", "carriage return"]))
def test_what_the_log_packs_comes_out_as_the_same_line(event, form):
    """Also from another writer, who orders fields or sets spaces as it likes."""
    line = e.encode(msgspec.structs.replace(event, id=new_id()))
    fields = json.loads(line)
    if form == "shuffled":
        line = json.dumps(dict(reversed(fields.items()))).encode()
    elif form == "spaced":
        line = json.dumps(fields, separators=(" , ", " : ")).encode()
    elif form == "carriage return":
        line += b"\r"
    read = e.decode(line)
    columns = (read.type, read.id, read.time, read.run or None, read.task_run or None, read.flow or None, read.task or None)
    again = unpack(*columns, pack(line.strip(), read))
    assert e.decode(again) == read
    assert json.loads(again).keys() >= {"type", "id"}


# --- nothing upsets it --------------------------------------------------------------------------------------------

DEEP = b'{"type":"asset.materialized","metadata":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


@settings(max_examples=200)
@given(st.binary(max_size=80) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"")
@example(b"null")
@example(b"[" * 100_000)
@example(DEEP)
@example(DEEP.replace(b"asset.materialized", b"acme.deep").replace(b"metadata", b"payload"))
@example(b'{"type":"log.recorded","message":"\\ud800"}')
@example(b'{"type":"log.recorded","time":1e999}')
@example(b'{"type":5}')
@example(b'{"type":"acme.x","resource":5}')
def test_any_bytes_are_an_event_or_malformed(line):
    """Nothing but MalformedEvent is raised."""
    try:
        decoded = e.decode(line)
    except MalformedEvent:
        return
    assert isinstance(decoded, e.Event)


@settings(max_examples=200)
@given(any_event, st.data())
def test_a_damaged_line_is_an_event_or_malformed(event, data):
    """A line with a byte changed, or cut anywhere."""
    line = bytearray(e.encode(event))
    at = data.draw(st.integers(0, len(line) - 1))
    if data.draw(st.booleans()):
        line[at] = data.draw(st.integers(0, 255))
    else:
        del line[at:]
    try:
        e.decode(bytes(line))
    except MalformedEvent:
        pass


class Strange:
    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Strange(),
        ValueError("x"),
        {1, 2},
        b"\xff",
        2**70,
        float("nan"),
        float("inf"),
        "\ud800 from a file name",
        {(1, 2): 3},
        {"a\udcff": 1},
    ],
    ids=["object", "strange", "exception", "set", "bytes", "big", "nan", "inf", "surrogate", "tuple key", "surrogate key"],
)
def test_a_strange_value_does_not_cost_the_event(value):
    """What JSON lacks is described; the line is kept and can be read."""
    event = e.decode(e.encode(e.FlowRunStarted(id=new_id(), run="r", flow="f", parameters={"value": value, "other": 1})))
    assert event.parameters["other"] == 1


def test_what_holds_itself_is_malformed_and_said():
    """There is no line for it: `emit` counts it as dropped."""
    round_and_round: dict[str, Any] = {}
    round_and_round["self"] = round_and_round
    with pytest.raises(MalformedEvent):
        e.encode(e.FlowRunStarted(parameters=round_and_round))


if __name__ == "__main__":  # write the golden lines that are missing; one that is there is never changed
    GOLDEN.mkdir(exist_ok=True)
    for name in KINDS:
        path = GOLDEN / f"{name}.v{VERSION}.json"
        if not path.exists():
            path.write_bytes(e.encode(full(e.TYPES[name])) + b"\n")
