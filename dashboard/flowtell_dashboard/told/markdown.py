"""Markdown of a run's artifact as components: headings, lists, code and paragraphs. Anything else stays the text it is.

Nothing is parsed as HTML and nothing becomes a link or an image: what a flow wrote is read on these pages, never executed
and never asked of another host.
"""

from __future__ import annotations

import re
from typing import Any, Final

from dash import html

_HEADING: Final = re.compile(r"#{1,6}\s+(.*)")
_ITEM: Final = re.compile(r"\s*[-*+]\s+(.*)")
_FENCE: Final = "```"
_STRONG: Final = re.compile(r"\*\*(.+?)\*\*|`([^`]+)`")


def markdown(text: str) -> Any:
    """The text as components, each line in one of them."""
    blocks: list[Any] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.lstrip().startswith(_FENCE):
            blocks.append(html.Pre("\n".join(_until_fence(lines))))
        elif heading := _HEADING.match(line):
            blocks.append(html.P(html.Strong(heading[1])))
        elif item := _ITEM.match(line):
            _add(blocks, html.Ul, html.Li(_inline(item[1])))
        elif line.strip():
            _add(blocks, html.P, *_inline(line), " ")
        else:
            blocks.append(None)
    return html.Div([block for block in blocks if block is not None], className="markdown")


def _until_fence(lines: Any) -> list[str]:
    inside = []
    for line in lines:
        if line.lstrip().startswith(_FENCE):
            break
        inside.append(line)
    return inside


def _add(blocks: list[Any], kind: Any, *content: Any) -> None:
    """To the block before it where that is of the same kind: lines of a paragraph, items of a list."""
    if blocks and type(blocks[-1]) is kind and not _is_heading(blocks[-1]):
        blocks[-1].children.extend(content)
    else:
        blocks.append(kind(list(content)))


def _is_heading(block: Any) -> bool:
    return not isinstance(block.children, list)


def _inline(text: str) -> list[Any]:
    parts: list[Any] = []
    place = 0
    for found in _STRONG.finditer(text):
        parts += [text[place : found.start()], html.Strong(found[1]) if found[1] else html.Code(found[2])]
        place = found.end()
    return [part for part in [*parts, text[place:]] if part != ""]
