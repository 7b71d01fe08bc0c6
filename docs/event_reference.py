"""Writes docs/reference/events.md from the structs of `flowtell.events`. Run by `make docs`."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import msgspec

from flowtell import events
from flowtell.events import LOG_FIELDS, TYPES, Event, Part

PAGE = Path(__file__).parent / "reference" / "events.md"

INTRODUCTION = """\
# Events

<!-- Written by docs/event_reference.py: `make docs`. Change flowtell/events.py instead. -->

One fact is one frozen struct, and on the wire one JSON object on one line; a field at its default is absent. Moments are
microseconds since the epoch, UTC; `duration`, `delay` and `cpu_seconds` are seconds; `*_memory`, `size` and `bytes` are
bytes; ids are 32 hex digits. A type that a reader does not know passes through it untouched. Names of parts that are not
built yet are fixed here all the same.

`flowtell events` shows them, `flowtell events schema TYPE` prints a type's JSON Schema, and all of those lie in
[schemas](../schemas). In Python, `flow_run.finished` is `flowtell.events.FlowRunFinished`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join((INTRODUCTION, *_common(), *_groups(), *_own(), *_parts())) + "\n"


def _common() -> Iterator[str]:
    yield "## What every event may carry\n"
    yield from _table(Event, leave_out=set(LOG_FIELDS))
    yield "\nThe log adds these; nobody writes them:\n"
    yield from _table(Event, leave_out=set(Event.__struct_fields__) - set(LOG_FIELDS))


def _groups() -> Iterator[str]:
    for group, names in groupby(TYPES, key=lambda name: name.partition(".")[0]):
        yield f"\n## {group}\n"
        for _, alike in groupby(names, key=_fields):
            yield from _types(list(alike))


def _fields(name: str) -> tuple[str, ...]:
    return tuple(field for field in TYPES[name].__struct_fields__ if field not in Event.__struct_fields__)


def _types(names: list[str]) -> Iterator[str]:
    """Types that have the same fields are told of together."""
    yield f"### {' · '.join(f'`{name}`' for name in names)}\n"
    for name in names:
        documentation = _own_words(TYPES[name])
        if documentation:
            yield f"{documentation}\n"
    if _fields(names[0]):
        yield from _table(TYPES[names[0]], leave_out=set(Event.__struct_fields__))
    else:
        yield "No fields beyond those that every event may carry."
    yield ""


def _own() -> Iterator[str]:
    yield "\n## Names of one's own\n"
    yield "`emit_event` writes an event under any dotted name that begins with none of the above:\n"
    yield from _table(events.UserEvent, leave_out={*Event.__struct_fields__, "type"})


def _parts() -> Iterator[str]:
    yield "\n## Values inside events\n"
    for kind in Part.__subclasses__():
        yield f"### {kind.__name__}\n"
        documentation = _own_words(kind)
        if documentation:
            yield f"{documentation}\n"
        yield from _table(kind)
        yield ""


def _table(kind: type[msgspec.Struct], leave_out: set[str] = frozenset()) -> Iterator[str]:  # type: ignore[assignment]
    notes = _notes(kind)
    yield "| field | type | |"
    yield "|---|---|---|"
    for field in msgspec.structs.fields(kind):
        if field.name not in leave_out:
            yield f"| `{field.encode_name}` | {_shown(field.type)} | {notes.get(field.name, '')} |"


def _shown(kind: Any) -> str:
    """A type as a reader of JSON thinks of it."""
    text = inspect.formatannotation(kind).replace("flowtell.events.", "").replace("typing.", "")
    return f"`{text.replace('tuple[', 'list[').replace(', ...]', ']')}`".replace("|", "\\|")


def _own_words(kind: type) -> str:
    """The docstring that stands in the class itself; msgspec makes one where there is none."""
    node = _node(kind)
    return " ".join((ast.get_docstring(node) or "").split()) if node else ""


def _notes(kind: type) -> dict[str, str]:
    """The strings below fields, of the struct and those that it inherits from."""
    notes: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        node = _node(base)
        body = node.body if node else []
        for field, note in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant):
                notes[ast.unparse(field.target)] = " ".join(str(note.value.value).split())
    return notes


_TREE = ast.parse(inspect.getsource(events))
_NODES = {node.name: node for node in _TREE.body if isinstance(node, ast.ClassDef)}


def _node(kind: type) -> ast.ClassDef | None:
    return _NODES.get(kind.__name__)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    print(PAGE, file=sys.stderr)
