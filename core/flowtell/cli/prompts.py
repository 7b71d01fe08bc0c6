"""A question of a paused run, asked field by field on a terminal; what did not fit is asked again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from flowtell.answers.asked import Asked
from flowtell.answers.box import Problem
from flowtell.answers.fitting import Schema
from flowtell.answers.spelling import fields_of, read_value
from flowtell.cli.output import Output
from flowtell.errors import BadAnswer


class Form:
    """One question. `answer` asks for what is missing; after `tell` that is what was wrong."""

    def __init__(self, output: Output, asked: Asked) -> None:
        self._output, self._schema = output, asked.schema
        self._fields = fields_of(asked.schema)
        self._values: dict[str, Any] = {}
        self._open = list(self._fields)
        for words in (asked.schema.get("title"), asked.schema.get("description")):
            if isinstance(words, str) and words:
                output.say(words)

    def answer(self) -> Any:
        if not self._fields:
            return read_value(_ask(str(self._schema.get("title") or "answer"), self._schema), self._schema, self._schema)
        for name in self._open:
            self._ask_field(name)
        self._open = []
        return dict(self._values)

    def _ask_field(self, name: str) -> None:
        field = self._fields[name]
        text = _ask(name, field)
        if text or "default" not in field:
            self._values[name] = read_value(text, field, self._schema)
        else:
            self._values.pop(name, None)

    def tell(self, error: BadAnswer) -> None:
        """Say what was wrong; the fields concerned are asked again, all of them where none is named."""
        problems = [problem for problem in error.problems if isinstance(problem, Problem)]
        for problem in problems:
            self._output.say(f"  {problem}")
        wrong = {problem.field.partition(".")[0] for problem in problems}
        self._open = [name for name in self._fields if name in wrong] or list(self._fields)


def _ask(name: str, field: Schema) -> str:
    hints = ", ".join(_hints(field))
    return input(f"{name}{f' ({hints})' if hints else ''}: ").strip()


def _hints(field: Mapping[str, Any]) -> Iterator[str]:
    if words := field.get("description"):
        yield str(words)
    if choices := field.get("enum"):
        yield " or ".join(map(str, choices))
    elif isinstance(field.get("type"), str) and field["type"] != "string":
        yield "yes or no" if field["type"] == "boolean" else str(field["type"])
    if "default" in field:
        yield f"default {msgspec.json.encode(field['default']).decode()}"


__all__ = ["Form"]
