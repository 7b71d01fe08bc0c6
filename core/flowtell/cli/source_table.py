"""Adds a `[source.NAME]` table to the configuration file, and takes one out, leaving every other line as it is."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from flowtell.config import find_file
from flowtell.errors import SourceTableError

NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
"""What a source may be called: small letters, so that an environment variable can name it."""


def add(name: str, keys: Mapping[str, Any], folder: str) -> str:
    """Write the table at the end of the file that holds for `folder`, or of a new flowtell.toml. Returns its path.

    Raises:
        SourceTableError: the name cannot be used or is taken, or the file cannot be written.
    """
    path = find_file(folder) or os.path.join(folder, "flowtell.toml")
    if not NAME.fullmatch(name):
        raise SourceTableError(name, path, "a name is made of small letters, digits, '_' and '-', and begins with a letter")
    text = _read(name, path)
    if name in _sources(name, path, text):
        raise SourceTableError(name, path, "there is one of that name already; choose another with --name")
    table = "\n".join([f"[{_prefix(path)}source.{name}]", *(f"{key} = {_value(value)}" for key, value in keys.items())])
    _write(name, path, f"{text.rstrip()}\n\n{table}\n" if text.strip() else f"{table}\n")
    return path


def remove(name: str, folder: str) -> str:
    """Take the table out of the file that holds for `folder`. Returns its path.

    Raises:
        SourceTableError: it is not there, or not written as a table of its own.
    """
    path = find_file(folder)
    if not path:
        raise SourceTableError(name, os.path.join(folder, "flowtell.toml"), "there is no such file")
    text = _read(name, path)
    wanted = _sources(name, path, text)
    if name not in wanted:
        raise SourceTableError(name, path, "there is no source of that name")
    del wanted[name]
    header = re.escape(f"{_prefix(path)}source.{name}")
    rest = re.sub(rf"(?m)\n*^[ \t]*\[{header}(\.[^\]]*)?\][^\n]*\n(?:(?![ \t]*\[)[^\n]*\n?)*", "\n", text)
    if _sources(name, path, rest) != wanted:
        raise SourceTableError(name, path, "it is not written as a table of its own; take it out by hand")
    _write(name, path, rest.lstrip("\n"))
    return path


def _prefix(path: str) -> str:
    return "tool.flowtell." if path.endswith("pyproject.toml") else ""


def _value(value: Any) -> str:
    """A value as TOML writes it; its texts are those of JSON."""
    return json.dumps(value)


def _sources(name: str, path: str, text: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except ValueError as error:
        raise SourceTableError(name, path, f"the file is no TOML ({error})") from error
    for part in filter(None, _prefix(path).split(".")):
        table = table.get(part, {})
    return dict(table.get("source", {}))


def _read(name: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise SourceTableError(name, path, f"the file cannot be read ({error})") from error


def _write(name: str, path: str, text: str) -> None:
    """Whole or not at all: written beside it, then put in its place with its rights."""
    beside = f"{path}.{os.getpid()}.new"
    try:
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as error:
        raise SourceTableError(name, path, f"the file cannot be written ({error.strerror})") from error
