"""Whether an answer fits the JSON Schema of its question, as far as that can be said without the model it was made from.

Only what is certain is a problem: keywords that are not known here are passed over, and the run itself, which has the model,
checks every answer again. The keywords are those that pydantic writes (JSON Schema 2020-12, validation vocabulary).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from flowtell.answers.box import Problem

Schema = Mapping[str, Any]

_DEEPEST: Final = 64
_MOST: Final = 20
"""Problems that are told at a time."""


def problems_of(answer: Any, schema: Schema) -> tuple[Problem, ...]:
    """What is wrong with it; empty when nothing is. A schema that makes no sense finds nothing."""
    found: list[Problem] = []
    for problem in _Check(schema).check(answer, schema, "", 0):
        found.append(problem)
        if len(found) == _MOST:
            break
    return tuple(found)


def resolved(schema: Any, root: Schema) -> Schema:
    """The schema that a `$ref` into `root` leads to; itself where it has none."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, Mapping):
            return {}
        name = schema.get("$ref")
        if not isinstance(name, str):
            return schema
        found = _mapping(_mapping(root.get("$defs")).get(name.removeprefix("#/$defs/")))
        schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}} if found else {}
    return {}


class _Check:
    def __init__(self, root: Schema) -> None:
        self._root = root

    def check(self, value: Any, schema: Any, field: str, depth: int) -> Iterator[Problem]:
        schema = resolved(schema, self._root)
        if depth > _DEEPEST:
            return
        if said := _wrong_kind(value, schema):
            yield Problem(said, field)
            return
        for check in (self._own, self._parts, self._choices):
            yield from check(value, schema, field, depth + 1)

    def _own(self, value: Any, schema: Schema, field: str, depth: int) -> Iterator[Problem]:
        if "const" in schema and not _same(value, schema["const"]):
            yield Problem(f"it can only be {_shown(schema['const'])}, not {_shown(value)}", field)
        allowed = _list(schema, "enum")
        if allowed and not any(_same(value, one) for one in allowed):
            yield Problem(f"{_shown(value)} is none of {', '.join(map(_shown, allowed))}", field)
        for keyword, (applies, fits, words) in _BOUNDS.items():
            bound = schema.get(keyword)
            if _is_number(bound) and applies(value) and not fits(value, bound):
                yield Problem(f"{_shown(value)} {words.format(bound)}", field)

    def _parts(self, value: Any, schema: Schema, field: str, depth: int) -> Iterator[Problem]:
        if isinstance(value, Mapping):
            yield from self._fields(value, schema, field, depth)
        elif isinstance(value, Sequence) and not isinstance(value, str) and isinstance(schema.get("items"), Mapping):
            for place, item in enumerate(value):
                yield from self.check(item, schema["items"], _inside(field, str(place)), depth)

    def _fields(self, value: Mapping[str, Any], schema: Schema, field: str, depth: int) -> Iterator[Problem]:
        known = _mapping(schema.get("properties"))
        for name in _list(schema, "required"):
            if isinstance(name, str) and name not in value:
                yield Problem("it is missing", _inside(field, name))
        others = schema.get("additionalProperties")
        for name, inner in value.items():
            if name in known:
                yield from self.check(inner, known[name], _inside(field, name), depth)
            elif others is False:
                yield Problem(f"there is no such field; there are {', '.join(known) or 'none'}", _inside(field, name))
            elif isinstance(others, Mapping):
                yield from self.check(inner, others, _inside(field, name), depth)

    def _choices(self, value: Any, schema: Schema, field: str, depth: int) -> Iterator[Problem]:
        for one in _list(schema, "allOf"):
            yield from self.check(value, one, field, depth)
        choices = _list(schema, "anyOf") or _list(schema, "oneOf")
        wrong = [list(self.check(value, one, field, depth)) for one in choices]
        if wrong and all(wrong):
            yield from min(wrong, key=_how_far_off)


def _how_far_off(problems: Sequence[Problem]) -> tuple[bool, int]:
    """What is of the wrong kind altogether explains less than what is wrong inside."""
    return problems[0].problem.startswith(_NOT), len(problems)


# --- the kinds of JSON ----------------------------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "string": ("text", lambda value: isinstance(value, str)),
    "integer": ("a whole number", lambda value: _is_number(value) and value == value // 1),
    "number": ("a number", _is_number),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "array": ("a list", lambda value: isinstance(value, Sequence) and not isinstance(value, str)),
    "object": ("an object", lambda value: isinstance(value, Mapping)),
    "null": ("null", lambda value: value is None),
}
_NOT: Final = "it is to be "


def _wrong_kind(value: Any, schema: Schema) -> str:
    kinds = schema.get("type")
    named = [kinds] if isinstance(kinds, str) else _list(schema, "type")
    known = [_KINDS[kind] for kind in named if isinstance(kind, str) and kind in _KINDS]
    if not known or len(known) < len(named) or any(is_one(value) for _, is_one in known):
        return ""
    return f"{_NOT}{' or '.join(words for words, _ in known)}, not {_shown(value)}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


_Bound = tuple[Callable[[Any], bool], Callable[[Any, Any], bool], str]

_BOUNDS: Final[dict[str, _Bound]] = {
    "minimum": (_is_number, lambda value, bound: value >= bound, "is less than {}"),
    "maximum": (_is_number, lambda value, bound: value <= bound, "is more than {}"),
    "exclusiveMinimum": (_is_number, lambda value, bound: value > bound, "is not more than {}"),
    "exclusiveMaximum": (_is_number, lambda value, bound: value < bound, "is not less than {}"),
    "minLength": (_is_text, lambda value, bound: len(value) >= bound, "is shorter than {} letters"),
    "maxLength": (_is_text, lambda value, bound: len(value) <= bound, "is longer than {} letters"),
    "minItems": (_is_list, lambda value, bound: len(value) >= bound, "has fewer than {} items"),
    "maxItems": (_is_list, lambda value, bound: len(value) <= bound, "has more than {} items"),
}


def _same(left: Any, right: Any) -> bool:
    """As JSON has it, where true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(schema: Schema, keyword: str) -> Sequence[Any]:
    """The keyword's value; nothing where that is no list."""
    value = schema.get(keyword)
    return value if isinstance(value, list | tuple) else ()


def _inside(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _shown(value: Any) -> str:
    import json

    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:79]}…"
