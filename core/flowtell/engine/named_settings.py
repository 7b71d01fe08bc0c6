"""`Settings` and `Secret`: named, typed values of each environment, as pydantic models. Imported when first used."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, get_args

import msgspec
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from flowtell import bus, config, secrets
from flowtell.errors import BadSettings, SecretExposed, SecretNotKept
from flowtell.named_settings import FILE, Given, plain, read_file, settings_named, text_of

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Secret(SecretStr):
    """A text that is shown as `********` wherever it goes; `get_secret_value()` gives it.

    From its making on, its text is taken out of all events of this process. It is pickled as the place it was loaded from,
    and loaded there anew by whoever reads the pickle; one that was not loaded is not pickled.
    """

    def __init__(self, secret_value: str) -> None:
        super().__init__(secret_value)
        secrets.hide(secret_value)
        self._place: tuple[str, str, str] | None = None

    def of_place(self, kind: str, name: str, field: str) -> Self:
        """The same, which can now be pickled."""
        self._place = kind, name, field
        return self

    def _display(self) -> str:
        return secrets.MASK if self.get_secret_value() else ""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: Any) -> Self:
        return self

    def __reduce_ex__(self, _protocol: Any) -> Any:
        if self._place is None:
            raise SecretNotKept("it was not loaded by Settings.load, so that it could not be loaded again")
        return _loaded, self._place


def _loaded(kind: str, name: str, field: str) -> Secret:
    return Secret(text_of(config.load(), kind, name, field)).of_place(kind, name, field)


class Settings(BaseModel):
    """Values that code needs and does not hold, such as where the warehouse is and its password: subclass it.

    `Warehouse.load("main")` takes them from `[settings.warehouse.main]` in the configuration's file, over it from that
    table of the environment, over it from variables. Immutable.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    _kind: ClassVar[str] = ""

    def __init_subclass__(cls, *, kind: str = "", **options: Any) -> None:
        """`kind`: what its tables are called; by itself the class's name, `data_lake` for `DataLake`."""
        super().__init_subclass__(**options)
        cls._kind = plain(kind or _HUMP.sub("_", cls.__name__))

    @classmethod
    def load(cls, name: str) -> Self:
        """The settings of this name, read now.

        Raises:
            SettingsNotFound: there are none of this name; those that there are are named.
            BadSettings: they do not fit this class.
            BadValue: a file or table cannot be read.
        """
        loading = _Loading(cls, name)
        loading.tell_of_exposed()
        return loading.made()


_S = TypeVar("_S", bound=Settings)


class _Loading(Generic[_S]):
    """Of one call."""

    def __init__(self, cls: type[_S], name: str) -> None:
        self._cls, self._place = cls, (cls._kind, plain(name))
        self._fields = {plain(one): field for field, alias in _aliases(cls) for one in (field, alias)}
        self._aliases = dict(_aliases(cls))
        self._given: dict[tuple[str, ...], Given] = {}
        self._exposed: set[str] = set()
        self._secret = {field for field, info in cls.model_fields.items() if _is_secret(info.annotation)}
        for one in settings_named(config.load(), cls._kind, name):
            self._take(one)

    def _take(self, one: Given) -> None:
        first, *rest = one.path
        file_of = self._fields.get(plain(first).removesuffix(FILE)) if plain(first).endswith(FILE) else None
        if plain(first) in self._fields:
            field = self._fields[plain(first)]
            if field in self._secret and one.file:
                self._exposed.add(one.file)
        elif file_of is not None and not rest:
            field, path = file_of, str(one.value)
            self._exposed.add(path)
            one = one._replace(value=read_file(path, one.source), file="")
        else:
            field = first
        if field in self._secret and isinstance(one.value, str):
            secrets.hide(one.value)  # before anybody could complain of it
        self._given[self._aliases.get(field, field), *rest] = one

    def tell_of_exposed(self) -> None:
        """A warning, as the flow can do nothing about it."""
        paths = tuple(sorted(path for path in self._exposed if _is_open_to_others(path)))
        if paths:
            bus.warn_once(SecretExposed(paths))

    def made(self) -> _S:
        try:
            made = self._validated({})
        except ValidationError as error:
            made = self._made_again(error)
        for field in self._secret:
            value = getattr(made, field)
            if isinstance(value, Secret) and (self._aliases[field],) in self._given:
                value.of_place(*self._place, self._aliases[field])
        return made

    def _made_again(self, error: ValidationError) -> _S:
        """With what is text in the environment taken as JSON where as text it does not fit: lists and tables."""
        places = {place for problem in error.errors(include_input=False) if (place := self._place_of(problem))}
        read = {place: value for place in places if (value := self._as_json(place)) is not None}
        try:
            if read:
                return self._validated(read)
        except ValidationError as second:
            error = second
        problems = tuple(self._problem(one) for one in error.errors(include_input=False, include_url=False))
        raise BadSettings(".".join(self._place), problems) from None  # its cause would show what was given

    def _validated(self, instead: Mapping[tuple[str, ...], Any]) -> _S:
        tree: dict[str, Any] = {}
        for path, one in self._given.items():
            branch = tree
            for part in path[:-1]:
                below = branch.setdefault(part, {})
                branch = below if isinstance(below, dict) else branch.setdefault(part, {})
            branch[path[-1]] = instead.get(path, one.value)
        return self._cls.model_validate(tree)

    def _place_of(self, problem: Any) -> tuple[str, ...]:
        location = tuple(str(part) for part in problem["loc"])
        return next((place for place in self._given if place == location[: len(place)]), ())

    def _as_json(self, place: tuple[str, ...]) -> Any:
        one = self._given[place]
        if one.file or not isinstance(one.value, str):
            return None
        try:
            return msgspec.json.decode(one.value)
        except msgspec.MsgspecError:
            return None

    def _problem(self, problem: Any) -> str:
        location = ".".join(str(part) for part in problem["loc"])
        place = self._place_of(problem)
        where = f" ({self._given[place].source})" if place else ""
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(location, self._cls.model_fields, n=1)
            better = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(self._cls.model_fields) or 'none'}"
            return f"there is no field '{location}'{where}, {better}"
        if problem["type"] == "missing":
            return f"'{location}' is missing"
        return secrets.hidden(f"'{location}'{where}: {problem['msg']}" if location else problem["msg"])


def _aliases(cls: type[Settings]) -> Iterator[tuple[str, str]]:
    """Each field, and what it is called where values are given."""
    for name, info in cls.model_fields.items():
        yield name, info.alias or name


def _is_secret(annotation: Any) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, SecretStr)
    arguments: Iterable[Any] = get_args(annotation)
    return any(_is_secret(one) for one in arguments)


def _is_open_to_others(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


__all__ = ["Secret", "Settings"]
