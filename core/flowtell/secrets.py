"""Secrets of this process: their literal text is taken out of every event, wherever it came in.

Imported when the first secret is loaded; before that nothing looks. From then on each line that goes into the journal is
searched for each text, and only one that holds any is taken apart. Texts shorter than `SHORTEST` are not sought: they
would be found in every other word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

import msgspec

from flowtell import bus

MASK: Final = "********"
SHORTEST: Final = 4
"""Characters of the shortest text that is sought."""

_NEVER_A_VALUE: Final = frozenset(
    ("type", "id", "run", "task_run", "flow", "task", "root_run", "deployment", "environment", "source", "caused_by",
     "parent_run", "parent_task_run", "trace", "state")
)  # fmt: skip
"""Fields of an event that say what it is about: cut, it would be about something else."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
_texts: tuple[str, ...] = ()
"""The longest first: one may be a part of another."""
_encoded: tuple[bytes, ...] = ()
"""The same as they stand in JSON."""


def hide(text: str) -> None:
    """Take this text out of what this process says from now on, also as `repr` and as a URL would write it."""
    if len(text) < SHORTEST or text in _texts:
        return
    forms = {text, repr(text)[1:-1], quote(text, safe=""), quote_plus(text), msgspec.json.encode(text)[1:-1].decode()}
    seek(forms)


def known() -> tuple[str, ...]:
    """All that is sought, for a process that works for this one."""
    return _texts


def seek(texts: Iterable[str]) -> None:
    """Take out what another process of the same run seeks, by `known`."""
    global _texts, _encoded
    _texts = tuple(sorted({*_texts, *texts}, key=len, reverse=True))
    _encoded = tuple(msgspec.json.encode(one)[1:-1] for one in _texts)
    bus.redact_lines(hidden_line if _texts else None)


def forget() -> None:
    """As if none had been loaded: for tests."""
    global _texts, _encoded
    _texts = _encoded = ()
    bus.redact_lines(None)


def hidden(text: str) -> str:
    """The text without any secret. Ask before a text is cut: half of a secret is not found."""
    for one in _texts:
        if one in text:
            text = text.replace(one, MASK)
    return text


def holds_secret(data: bytes) -> bool:
    """Whether a secret stands in these bytes as it is."""
    return any(one.encode("utf-8", "surrogatepass") in data for one in _texts)


def hidden_line(line: bytes) -> bytes:
    """A line of the journal without any secret."""
    for one in _encoded:
        if one in line:
            return _cleaned(line)
    return line


def _cleaned(line: bytes) -> bytes:
    event = msgspec.json.decode(line)
    clean = {key: value if key in _NEVER_A_VALUE else _hidden(value) for key, value in event.items()}
    return msgspec.json.encode(clean)


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        is_id = _ID.fullmatch(value) is not None and value not in _texts
        return value if is_id else hidden(value)
    if isinstance(value, dict):
        return {hidden(key): _hidden(inner) for key, inner in value.items()}
    return [_hidden(inner) for inner in value] if isinstance(value, list) else value


__all__ = ["MASK", "SHORTEST", "forget", "hidden", "hidden_line", "hide", "holds_secret", "known", "seek"]
