"""A plugin's own keys, from the configuration's mapping to a struct that states them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, get_origin

import msgspec

from flowtell.decoders import convert
from flowtell.errors import BadValue, UnknownKey

T = TypeVar("T")


def settings(kind: type[T], config: Mapping[str, Any], plugin: str) -> T:
    """The keys of `[plugin.NAME]` as `kind`, a msgspec struct; text from the environment is converted, a list by its commas.

    Raises:
        UnknownKey: a key that `kind` has no field for, with the closest one named.
        BadValue: a value of another type.
    """
    place, known = f"[plugin.{plugin}]", msgspec.structs.fields(kind)  # type: ignore[arg-type]  # any struct
    names = [field.name for field in known]
    for key in config:
        if key not in names:
            raise UnknownKey(key, place, next(iter(get_close_matches(key, names, n=1)), ""))
    given = {field.name: _listed(config[field.name], field.type) for field in known if field.name in config}
    for field in known:
        if field.name in given:
            _check(field.type, given[field.name], field.name, place)
    return convert(given, kind, strict=False)


def _listed(value: Any, kind: Any) -> Any:
    several = isinstance(value, str) and get_origin(kind) is tuple
    return [part.strip() for part in value.split(",") if part.strip()] if several else value


def _check(kind: Any, value: Any, key: str, place: str) -> None:
    try:
        convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadValue(key, place, str(error)) from error
