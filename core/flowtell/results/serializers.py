"""How a value becomes bytes, and the same value again."""

from __future__ import annotations

import pickle
import sys
import zlib
from typing import Any, Final, Protocol

import msgspec

from flowtell.errors import BadCaching, SecretNotKept


class Serializer(Protocol):
    """A serializer of one's own: give an object of this shape as `result_serializer`. Called from any thread.

    What `dumps` raises leaves the result unkept, with a warning; what `loads` raises has the task run anew.
    """

    name: str
    """Kept with each value: what another name has written is not read."""

    def dumps(self, value: Any) -> bytes: ...
    def loads(self, data: bytes) -> Any: ...


class Pickle:
    """Any value that pickle takes, or cloudpickle where it is installed: functions and classes of a script too."""

    name = "pickle"

    def dumps(self, value: Any) -> bytes:
        try:
            data = pickle.dumps(value, protocol=5)
        except Exception as error:  # noqa: BLE001  # pickle raises whatever the value's own methods raise
            data = _by_cloudpickle(value, error)
        return without_secrets(data)

    def loads(self, data: bytes) -> Any:
        return pickle.loads(data)  # noqa: S301  # the storage is the user's own; docs/caching.md says who must not write there


def without_secrets(data: bytes) -> bytes:
    """The same bytes.

    Raises:
        SecretNotKept: the text of a secret that this process has loaded stands in them.
    """
    secrets = sys.modules.get("flowtell.secrets")
    if secrets is not None and secrets.holds_secret(data):
        raise SecretNotKept("the result holds the text of one; return something else, or persist_result=False")
    return data


def _by_cloudpickle(value: Any, error: Exception) -> bytes:
    try:
        import cloudpickle  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise error from None
    data: bytes = cloudpickle.dumps(value, protocol=5)
    return data


class Json:
    """Values that JSON gives back as they were: text, numbers, booleans, None, and lists and dicts of them."""

    name = "json"

    def dumps(self, value: Any) -> bytes:
        data = msgspec.json.encode(value)
        if not _same(msgspec.json.decode(data), value):
            raise TypeError("JSON would not give it back as it is: it knows text, numbers, lists, dicts by text, and None")
        return without_secrets(data)

    def loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


def _same(back: Any, value: Any) -> bool:
    """Equal, and of the same types all through: what equals a text may be more than a text."""
    if type(back) is not type(value):
        return False
    if isinstance(back, list):
        return len(back) == len(value) and all(map(_same, back, value))
    if isinstance(back, dict):
        return back.keys() == value.keys() and all(_same(one, value[name]) for name, one in back.items())
    return bool(back == value)


class Compressed:
    """Another serializer's bytes, made smaller."""

    def __init__(self, inner: Serializer) -> None:
        self.name, self._inner = f"compressed/{inner.name}", inner

    def dumps(self, value: Any) -> bytes:
        return zlib.compress(self._inner.dumps(value))

    def loads(self, data: bytes) -> Any:
        return self._inner.loads(zlib.decompress(data))


_BY_NAME: Final[dict[str, Serializer]] = {
    one.name: one for one in (Pickle(), Json(), Compressed(Pickle()), Compressed(Json()))
}


def serializer_of(given: Any) -> Serializer:
    """By name, or the very object that was given.

    Raises:
        BadCaching: there is none of that name, or the object lacks `name`, `dumps` or `loads`.
    """
    if isinstance(given, str):
        if given not in _BY_NAME:
            raise BadCaching(f"there is no serializer {given!r}; there are {', '.join(_BY_NAME)}")
        return _BY_NAME[given]
    if not all(hasattr(given, name) for name in ("name", "dumps", "loads")):
        raise BadCaching(f"{given!r} is no serializer: it needs a name, dumps(value) and loads(data)")
    serializer: Serializer = given
    return serializer
