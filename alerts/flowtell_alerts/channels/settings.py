"""The keys of a `[channel.NAME]` table, checked: for the factories of channels, ours and others'."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct

from flowtell.decoders import convert
from flowtell.errors import BadValue, UnknownKey

_Keys = TypeVar("_Keys", bound=Struct)

MAX_SECRET: Final = 4_096

_WORDS: Final = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "text",
    tuple[str, ...]: "a list of texts",
}


def checked(name: str, given: Mapping[str, Any], keys: type[_Keys], *, secrets: tuple[str, ...] = ()) -> _Keys:
    """The keys as `keys` declares them, from a file or from environment variables, where all is text.

    Args:
        secrets: keys that may also be given as `KEY_file`, the path of a file that holds the value.

    Raises:
        UnknownKey: a key that does not exist, with the one that may be meant.
        BadValue: a value that is missing, of the wrong type, or cannot be read; it is not repeated, it may be a secret.
    """
    place = place_of(name)
    fields = {field.name: field for field in msgspec.structs.fields(keys)}
    values = _with_files(given, place, secrets)
    for key in values:
        if key not in fields:
            close = difflib.get_close_matches(key, [*fields, *(f"{each}_file" for each in secrets)], n=1)
            raise UnknownKey(key, place, close[0] if close else "")
    for field in fields.values():
        if field.required and field.name not in values:
            also = f" (or {field.name}_file)" if field.name in secrets else ""
            raise BadValue(field.name, place, f"it is missing; this type of channel needs it{also}")
    return keys(**{key: _converted(key, value, fields[key].type, place) for key, value in values.items()})


def place_of(name: str) -> str:
    return f"[channel.{name}]"


def _with_files(given: Mapping[str, Any], place: str, secrets: tuple[str, ...]) -> dict[str, Any]:
    values = dict(given)
    for key in secrets:
        if f"{key}_file" in values:
            values.setdefault(key, _read(f"{key}_file", values.pop(f"{key}_file"), place))
    return values


def _read(key: str, path: Any, place: str) -> str:
    if not isinstance(path, str):
        raise BadValue(key, place, "it is not text")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(MAX_SECRET).strip()
    except OSError as error:
        raise BadValue(key, place, f"the file cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BadValue(key, place, "the file is no text") from None


def _converted(key: str, value: Any, kind: Any, place: str) -> Any:
    if isinstance(value, str) and kind is bool:
        value = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value)
    if isinstance(value, str) and kind == tuple[str, ...]:
        value = [each.strip() for each in value.split(",") if each.strip()]
    try:
        return convert(value, kind, strict=isinstance(value, bool) or kind is str)
    except msgspec.ValidationError:
        raise BadValue(key, place, f"it is not {_WORDS.get(kind, 'of the right type')}") from None


def checked_url(key: str, url: str, place: str, *, schemes: tuple[str, ...] = ("https", "http")) -> SplitResult:
    """An address that can be asked. The error does not repeat it.

    Raises:
        BadValue: it is none.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BadValue(key, place, "it is no URL") from None
    if parts.scheme not in schemes:
        raise BadValue(key, place, f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if not parts.hostname or not url.isascii() or not url.isprintable() or " " in url:
        raise BadValue(key, place, "it has no host, or characters that a URL cannot have")
    if parts.username is not None:
        raise BadValue(key, place, "a user and password before the host are not sent; put a token into the path")
    return parts


def checked_seconds(key: str, seconds: float, place: str, *, most: float = 20.0) -> float:
    """A time-out.

    Raises:
        BadValue: it is out of range.
    """
    if not 0.1 <= seconds <= most:
        raise BadValue(key, place, f"it must lie between 0.1 and {most:g}")
    return seconds


__all__ = ["MAX_SECRET", "checked", "checked_seconds", "checked_url", "place_of"]
