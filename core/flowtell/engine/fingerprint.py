"""A fingerprint of values: equal data has the same one in every process, whatever its objects' addresses and order.

Plain values are taken by their text. Dicts and sets are taken in an order of their own, functions by their code, and any
other object by what pickle would keep of it, taken apart in turn: pickle's own bytes differ for equal sets, and for equal
texts that are one object here and two there.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable
from hashlib import sha256
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types whose text tells a value, and that from any other one."""

Put = Callable[[bytes], None]


class NoFingerprint(TypeError):
    """A value that holds what belongs to this process, such as a lock or an open file."""

    def __init__(self, value: Any, problem: object) -> None:
        super().__init__(f"a {type(value).__qualname__} cannot be told apart from others ({problem})")


def fingerprint(*values: Any) -> str:
    """64 hex digits.

    Raises:
        NoFingerprint: one of them holds what no other process could have.
    """
    digest = sha256()
    walk = _Walk()
    try:
        for value in values:
            walk.feed(value, digest.update)
    except RecursionError as error:
        raise NoFingerprint(values, "it is nested too deeply") from error
    return digest.hexdigest()


def code_fingerprint(function: Any) -> str:
    """Of what a function does: its code, its defaults, and the functions and plain values that it closes over.

    It stays the same when only a comment or the layout changes, and wherever the function stands.
    """
    if isinstance(function, MethodType):
        return code_fingerprint(function.__func__)
    if not isinstance(function, FunctionType):
        return fingerprint(function)
    digest = sha256()
    _Walk().code(function, digest.update)
    return digest.hexdigest()


class _Walk:
    def __init__(self) -> None:
        self._inside: dict[int, int] = {}
        """By address how deep a container is that is being looked through: one may hold itself."""

    def feed(self, value: Any, put: Put) -> None:
        kind = type(value)
        if kind in PLAIN:
            put(_text(value))
            return
        how = _HOW.get(kind)
        if how is None and isinstance(value, type):
            how = _Walk._name
        address = id(value)
        depth = self._inside.get(address)
        if depth is not None:
            put(_token("again", b"%d" % depth))
            return
        self._inside[address] = len(self._inside)
        try:
            (how or _Walk._object)(self, value, put)
        finally:
            del self._inside[address]

    def _many(self, value: list[Any] | tuple[Any, ...], put: Put) -> None:
        put(_token(type(value).__name__, b"%d" % len(value)))
        if PLAIN.issuperset(map(type, value)):  # a million numbers at C speed
            try:
                put(repr(value).encode("utf-8", "surrogatepass"))
                return
            except ValueError:  # a number of more digits than Python writes
                pass
        for item in value:
            self.feed(item, put)

    def _dict(self, value: dict[Any, Any], put: Put) -> None:
        self._unordered("dict", value.items(), put)

    def _set(self, value: Iterable[Any], put: Put) -> None:
        self._unordered(type(value).__name__, value, put)

    def _unordered(self, name: str, items: Iterable[Any], put: Put) -> None:
        digests = sorted(self._digest(item) for item in items)
        put(_token(name, b"".join(digests)))

    def _digest(self, value: Any) -> bytes:
        digest = sha256()
        self.feed(value, digest.update)
        return digest.digest()

    def _name(self, value: Any, put: Put) -> None:
        module = getattr(value, "__module__", None) or ""
        put(_token("name", f"{module}.{getattr(value, '__qualname__', value.__name__)}".encode()))

    def _method(self, value: MethodType, put: Put) -> None:
        self.feed((value.__func__, value.__self__), put)

    def _function(self, value: FunctionType, put: Put) -> None:
        self._name(value, put)
        self.code(value, put)

    def code(self, value: FunctionType, put: Put) -> None:
        self.feed(value.__code__, put)
        for default in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).items()):
            self._default(default, put)
        for cell in value.__closure__ or ():
            self._closed_over(cell, put)

    def _default(self, value: Any, put: Put) -> None:
        try:
            put(self._digest(value))
        except NoFingerprint:
            put(_token("default", type(value).__qualname__.encode()))

    def _closed_over(self, cell: Any, put: Put) -> None:
        """Only what is sure to be the same in another process: a client or a logger in a closure is no code."""
        try:
            value = cell.cell_contents
        except ValueError:  # not yet assigned
            return
        if type(value) in PLAIN or isinstance(value, FunctionType):
            self.feed(value, put)
        else:
            put(_token("closed over", type(value).__qualname__.encode()))

    def _code(self, value: CodeType, put: Put) -> None:
        self.feed((value.co_code, value.co_names, value.co_varnames, value.co_consts), put)

    def _object(self, value: Any, put: Put) -> None:
        parts = _reduced(value)
        if isinstance(parts, str):  # pickled by name
            put(_token("name", f"{getattr(value, '__module__', '')}.{parts}".encode()))
            return
        make, arguments, state, items, pairs = (*parts, None, None, None)[:5]
        put(_token("object", type(value).__qualname__.encode()))
        self.feed((make, arguments, state), put)
        if items is not None:
            self._many(list(items), put)
        if pairs is not None:
            self._dict(dict(pairs), put)


def _reduced(value: Any) -> Any:
    """What pickle makes of it."""
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        return reduce(value) if reduce is not None else value.__reduce_ex__(4)
    except Exception as error:
        raise NoFingerprint(value, error) from error


def _token(kind: str, data: bytes) -> bytes:
    """Begins with its kind and length, so that no two rows of tokens read alike."""
    return b"%s %d:%s" % (kind.encode(), len(data), data)


def _text(value: Any) -> bytes:
    kind = type(value)
    if kind is bytes:
        return _token("bytes", value)
    if kind is str:
        return _token("str", value.encode("utf-8", "surrogatepass"))
    try:
        return _token(kind.__name__, repr(value).encode())
    except ValueError:  # a number of more digits than Python writes
        return _token(kind.__name__, hex(value).encode())


_HOW: Final[dict[type, Callable[[_Walk, Any, Put], None]]] = {
    list: _Walk._many,  # noqa: SLF001
    tuple: _Walk._many,  # noqa: SLF001
    dict: _Walk._dict,  # noqa: SLF001
    set: _Walk._set,  # noqa: SLF001
    frozenset: _Walk._set,  # noqa: SLF001
    type: _Walk._name,  # noqa: SLF001
    ModuleType: _Walk._name,  # noqa: SLF001
    BuiltinFunctionType: _Walk._name,  # noqa: SLF001
    FunctionType: _Walk._function,  # noqa: SLF001
    MethodType: _Walk._method,  # noqa: SLF001
    CodeType: _Walk._code,  # noqa: SLF001
}
