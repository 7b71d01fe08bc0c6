"""`RunInput`: what a paused flow asks for, as a pydantic model. Imported when the name is first used."""

from __future__ import annotations

from copy import copy
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, create_model

from flowtell.errors import BadQuestion


class RunInput(BaseModel):
    """The fields that a paused flow asks for: subclass it, and give the class to `pause_flow_run(wait_for_input=...)`.

    A field that there is not is refused in an answer; what the class's docstring says is shown to whoever answers.
    """

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def with_initial_data(cls, description: str | None = None, **initial: Any) -> type[Self]:
        """The same model with values to begin with, which an answer may leave out; `description` is shown with it.

        Raises:
            BadQuestion: there is no field of such a name.
        """
        fields: dict[str, Any] = {}
        for name, value in initial.items():
            if name not in cls.model_fields:
                known = ", ".join(cls.model_fields) or "none"
                raise BadQuestion(f"{cls.__name__}.with_initial_data", f"there is no field '{name}'; there are {known}")
            field = copy(cls.model_fields[name])
            field.default, field.default_factory = value, None
            fields[name] = (field.annotation, field)
        words = cls.__doc__ if description is None else description
        return create_model(cls.__name__, __base__=cls, __doc__=words, __module__=cls.__module__, **fields)


__all__ = ["RunInput"]
