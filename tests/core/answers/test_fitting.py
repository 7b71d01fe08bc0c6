"""Whether an answer fits its schema, said without the model: nothing that the model takes is refused here."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from flowtell import RunInput
from flowtell.answers.fitting import problems_of
from flowtell.answers.spelling import fields_of, read_value


class Address(BaseModel):
    street: str = Field(min_length=2)


class Review(RunInput):
    score: Annotated[int, Field(ge=1, le=5)]
    verdict: Literal["good", "bad"] = "good"
    where: Address | None = None
    words: list[str] = Field(default=[], max_length=2)
    share: float | None = None
    due: date | None = None


SCHEMA = Review.model_json_schema()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"score": 6}, ["score: 6 is more than 5"]),
        ({"score": "five"}, ['score: it is to be a whole number, not "five"']),
        ({"score": True}, ["score: it is to be a whole number, not true"]),
        ({}, ["score: it is missing"]),
        ({"score": 1, "verdict": "fair"}, ['verdict: "fair" is none of "good", "bad"']),
        ({"score": 1, "where": {"street": "x"}}, ['where.street: "x" is shorter than 2 letters']),
        ({"score": 1, "words": ["a", 2]}, ["words.1: it is to be text, not 2"]),
        ({"score": 1, "words": ["a", "b", "c"]}, ['words: ["a", "b", "c"] has more than 2 items']),
        (
            {"score": 1, "rating": 2},
            ["rating: there is no such field; there are score, verdict, where, words, share, due"],
        ),
        ("good", ['it is to be an object, not "good"']),
        ({"score": 5.0, "share": 1, "due": "2026-11-25", "where": None}, []),
    ],
)
def test_each_thing_that_is_wrong_is_told_by_its_field(answer, told):
    assert [str(problem) for problem in problems_of(answer, SCHEMA)] == told


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.sampled_from(["", "ab", "good", "2026-11-25"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["score", "street", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KINDS = [
    bool, int, float, str, Decimal, list[int], dict[str, int], Literal["good", 2], int | str, Address, Review,
    tuple[int, str], set[int], Annotated[int, Field(gt=1, lt=5)], dict[str, Address | None], date | None,
]  # fmt: skip


@settings(max_examples=50)
@given(st.sampled_from(KINDS), values)
def test_what_the_model_takes_strictly_is_never_refused_here(kind, value):
    """JSON as the schema means it: pydantic's lax mode takes more, which no schema says."""
    adapter = TypeAdapter(kind)
    try:
        adapter.validate_json(adapter.dump_json(adapter.validate_python(value)), strict=True)
        adapter.validate_json(json.dumps(value), strict=True)
    except (ValidationError, ValueError, TypeError):
        return
    assert problems_of(value, adapter.json_schema()) == ()


@settings(max_examples=50)
@given(
    values, st.dictionaries(st.sampled_from(["type", "enum", "items", "properties", "anyOf", "$ref", "required"]), values)
)
def test_a_schema_that_makes_no_sense_raises_nothing(value, schema):
    problems_of(value, schema)


def test_a_schema_that_holds_itself_comes_to_an_end():
    tree = {"$ref": "#/$defs/tree", "$defs": {"tree": {"$ref": "#/$defs/tree"}}}
    assert problems_of({"a": 1}, tree) == ()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, "7", 7),
        (float, "0.5", 0.5),
        (bool, "yes", True),
        (bool, "OFF", False),
        (str, "12", "12"),
        (int | str, "12", "12"),
        (str | None, "null", None),
        (list[int], "[1,2]", [1, 2]),
        (Literal["1", "2"], "1", "1"),
        (Literal[1, 2], "2", 2),
        (date, "2026-11-25", "2026-11-25"),
        (int, "many", "many"),
    ],
)
def test_typed_text_becomes_what_the_schema_has(kind, text, value):
    schema = TypeAdapter(kind).json_schema()
    assert read_value(text, schema, schema) == value


def test_fields_are_those_of_the_model():
    assert list(fields_of(SCHEMA)) == ["score", "verdict", "where", "words", "share", "due"]
    assert fields_of(TypeAdapter(int).json_schema()) == {}
