"""Writes docs/reference/plugin.md from the plugin contract. Run by `make docs`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowtell import plugin, source
from flowtell.testing import plugin_contract

PAGE = Path(__file__).parent / "reference" / "plugin.md"

INTRODUCTION = """\
# The plugin contract

<!-- Written by docs/plugin_reference.py: `make docs`. Change flowtell/plugin.py instead. -->

Every hook with its signature and what it promises. [Write a plugin](../plugins.md) tells how to use them.
"""

SHOWN = (
    ("flowtell.plugin", plugin.Plugin),
    ("flowtell.plugin", plugin.BasePlugin),
    ("flowtell.plugin", plugin.Context),
    ("flowtell.plugin", plugin.LogView),
    ("flowtell.plugin", plugin.PluginStatus),
    ("flowtell.plugin", plugin.RetryLater),
    ("flowtell.source", source.Source),
    ("flowtell.testing", plugin_contract.PluginContract),
)


def page() -> str:
    """The whole page."""
    return "\n".join((INTRODUCTION, *(line for module, kind in SHOWN for line in _section(module, kind))))


def _section(module: str, kind: type) -> Iterator[str]:
    yield f"## {module}.{kind.__name__}\n"
    yield f"{inspect.cleandoc(kind.__doc__ or '')}\n"
    [made] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(made, ast.ClassDef)
    for part, note in zip(made.body, [*made.body[1:], None], strict=True):
        yield from _member(part, note)


def _member(part: ast.stmt, note: Any) -> Iterator[str]:
    if isinstance(part, ast.FunctionDef) and not part.name.startswith(("_", "test_")):
        yield f"```py\n{_signature(part)}\n```\n"
        if told := ast.get_docstring(part):
            yield f"{told}\n"
    elif isinstance(part, ast.AnnAssign):
        yield f"```py\n{ast.unparse(part)}\n```\n"
        if isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant):
            yield f"{inspect.cleandoc(str(note.value.value))}\n"


def _signature(function: ast.FunctionDef) -> str:
    is_property = any(isinstance(one, ast.Name) and one.id == "property" for one in function.decorator_list)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    head = f"def {function.name}({ast.unparse(function.args)}){returns}"
    return f"@property\n{head}" if is_property else head


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
