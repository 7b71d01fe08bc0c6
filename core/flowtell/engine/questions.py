"""What a pause asks: a type by pydantic, its JSON Schema for whoever answers, and how an answer becomes a value of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from flowtell.answers.box import Problem
from flowtell.errors import BadAnswer, BadQuestion


class Question:
    """Asks for a value of `kind`: a `RunInput` or other model, or any type that pydantic knows. None asks for no value."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    @cached_property
    def schema(self) -> dict[str, Any]:
        """Empty where any word to go on will do.

        Raises:
            BadQuestion: pydantic cannot describe the type in JSON.
        """
        return {} if self._kind is None else self._described()

    def _described(self) -> dict[str, Any]:
        from pydantic.errors import PydanticUserError

        try:
            schema: dict[str, Any] = self._adapter.json_schema()
        except PydanticUserError as error:
            raise BadQuestion("wait_for_input", f"{self._kind!r} has no form in JSON ({error.message})") from error
        return schema

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            return TypeAdapter(self._kind)
        except PydanticUserError as error:
            raise BadQuestion("wait_for_input", f"{self._kind!r} cannot be asked for ({error.message})") from error

    def value(self, key: str, answer: Any) -> Any:
        """What the answer means to the flow.

        Raises:
            BadAnswer: it does not fit; each problem names its field.
        """
        if self._kind is None:
            return None
        from pydantic import ValidationError

        try:
            return self._adapter.validate_json(msgspec.json.encode(answer))
        except ValidationError as error:
            raise BadAnswer(key, tuple(map(_problem, error.errors(include_url=False, include_context=False)))) from None


def _problem(error: Any) -> Problem:
    return Problem(error["msg"], ".".join(map(str, error["loc"])))
