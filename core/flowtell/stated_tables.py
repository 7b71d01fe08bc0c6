"""Lists of tables in a configuration file, such as `[[rules]]`, each with the line that begins it."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from flowtell.errors import BadValue


def stated_tables(path: str, name: str) -> list[tuple[dict[str, Any], str]]:
    """The tables `[[name]]` of the file with where each stands, in its order; none where it has none.

    A place is `flowtell.toml:12`, without a line where that cannot be told. In a pyproject.toml they are below
    `[tool.flowtell]`.

    Raises:
        BadValue: the file cannot be read, or has something else under that name.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        whole = tomllib.loads(text)
    except (OSError, ValueError) as error:  # no TOML, or no UTF-8
        raise BadValue("(file)", path, str(error)) from error
    if path.endswith("pyproject.toml"):
        whole = whole.get("tool", {}).get("flowtell", {})
    tables = checked_list(whole.get(name, []), path, name)
    return list(zip(tables, _places(text, path, name, len(tables)), strict=True))


def checked_list(tables: Any, path: str, name: str) -> list[dict[str, Any]]:
    """The value of `name` as a list of tables.

    Raises:
        BadValue: it is something else.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BadValue(name, path, f"it is no list of tables; write [[{name}]] above the keys of each")
    return tables


def _places(text: str, path: str, name: str, count: int) -> list[str]:
    """Where each table begins. Without a line where the headers that we see are not those that the parser saw."""
    header = re.compile(rf"^\s*\[\[\s*(?:tool\s*\.\s*flowtell\s*\.\s*)?{name}\s*\]\]", re.MULTILINE)
    lines = [text.count("\n", 0, found.start(0) + len(found[0])) + 1 for found in header.finditer(text)]
    return [f"{path}:{line}" for line in lines] if len(lines) == count else [path] * count
