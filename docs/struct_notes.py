"""What the pages of the reference say of a struct's fields: the strings below them, and their defaults as TOML."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import Any


def notes(kind: type) -> dict[str, str]:
    """The strings below fields."""
    (node,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(node, ast.ClassDef)
    return {
        ast.unparse(field.target): " ".join(str(note.value.value).split())
        for field, note in pairwise(node.body)
        if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant)
    }


def toml(value: Any) -> str:
    """A default as `flowtell.toml` spells it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml(one) for one in value)}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
