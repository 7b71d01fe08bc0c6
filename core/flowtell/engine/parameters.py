"""The parameters of a flow: bound to its signature, then checked and converted where they are annotated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from flowtell.cutting import cut
from flowtell.engine.signatures import argument_names
from flowtell.errors import ParameterError

_EXACT = (str, int, float, bool, bytes, list, dict, tuple, set)
"""Plain classes: a value of exactly that class fits, and pydantic need not be loaded to see it."""

_JSON: dict[Any, dict[str, str]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    list: {"type": "array"},
    dict: {"type": "object"},
}
_MANY: dict[Any, Callable[[Any], Any]] = {
    inspect.Parameter.VAR_POSITIONAL: lambda hint: tuple.__class_getitem__((hint, ...)),
    inspect.Parameter.VAR_KEYWORD: lambda hint: dict.__class_getitem__((str, hint)),
}
"""What `*args` and `**kwargs` arrive as."""


class Parameters:
    """How one flow takes its parameters. What it learns of the function it learns at the first run."""

    __slots__ = ("_adapters", "_check", "_flow", "_fn", "_hints", "_signature")

    def __init__(self, flow: str, fn: Callable[..., Any], *, check: bool = True) -> None:
        self._flow, self._fn, self._check = flow, fn, check
        self._signature: inspect.Signature | None = None
        self._hints: dict[str, Any] = {}
        self._adapters: dict[str, Any] = {}

    @property
    def signature(self) -> inspect.Signature:
        if self._signature is None:
            self._signature = inspect.signature(self._fn)
            self._hints = {name: hint for name, hint in _hints(self._fn).items() if name in self._signature.parameters}
        return self._signature

    def fit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Arguments to call the function with, and all parameters by name, defaults included.

        Raises:
            ParameterError: one is missing, unknown, or cannot be read as what it is annotated with. All are named.
        """
        signature = self.signature
        if not signature.parameters and not args and not kwargs:
            return args, kwargs, {}
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ParameterError(self._flow, [str(error)]) from None
        problems: list[str] = []
        if self._check:
            for name, value in bound.arguments.items():
                bound.arguments[name] = self._checked(name, value, problems)
        if problems:
            raise ParameterError(self._flow, problems)
        bound.apply_defaults()
        return bound.args, bound.kwargs, dict(bound.arguments)

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """What was passed, by name as far as it has one."""
        return {**dict(zip(argument_names(self._fn, len(args)), args, strict=False)), **kwargs}

    def schema(self) -> dict[str, Any]:
        """A JSON Schema of what can be said without pydantic."""
        parameters = self.signature.parameters.values()
        if not parameters:
            return {}
        return {
            "type": "object",
            "properties": {one.name: self._json_type(one.name) for one in parameters},
            "required": [one.name for one in parameters if one.default is one.empty and one.kind not in _MANY],
        }

    def _json_type(self, name: str) -> dict[str, str]:
        hint = self._hints.get(name)
        return _JSON.get(hint, {}) if isinstance(hint, type) else {}

    def _checked(self, name: str, value: Any, problems: list[str]) -> Any:
        hint = self._hints.get(name, Any)
        if hint is Any or hint is object or (hint in _EXACT and type(value) is hint):
            return value
        many = _MANY.get(self.signature.parameters[name].kind)
        adapter = (
            self._adapters[name]
            if name in self._adapters
            else self._adapters.setdefault(name, _adapter(many(hint) if many else hint))
        )
        if adapter is None:
            return value
        from pydantic import ValidationError

        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            problems += [_problem(name, one) for one in error.errors(include_url=False, include_context=False)]
            return value


def _hints(fn: Callable[..., Any]) -> dict[str, Any]:
    """Annotations as types. Those that name what cannot be found here are not checked."""
    try:
        return get_type_hints(fn, include_extras=True)
    except Exception:  # noqa: BLE001  # evaluating an annotation runs whatever it says
        return {name: hint for name, hint in getattr(fn, "__annotations__", {}).items() if not isinstance(hint, str)}


def _adapter(hint: Any) -> Any:
    """Pydantic's validator for `hint`, or None where pydantic has none."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(hint)
    except PydanticUserError:
        pass
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except Exception:  # noqa: BLE001  # as above: what cannot be checked is not
        return None


def _problem(name: str, error: Any) -> str:
    place = ".".join(str(part) for part in (name, *error["loc"]))
    from flowtell.engine.capture import REDACTED, is_secret

    got = REDACTED if is_secret(name) else _shown(error["input"])
    return f"{place}: {error['msg']} (got {got})"


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # whatever a user's __repr__ raises
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{cut(text, 79)}…"
