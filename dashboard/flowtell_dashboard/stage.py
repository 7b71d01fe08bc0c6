"""The timeline's page as plain HTML, which is painted before Dash's two megabytes of scripts have run.

It is the page's own layout, with boxes where Mantine's controls will be. `assets/start.js` puts it in the document, lets the
timeline's script paint on it, and only then loads Dash, whose page takes the picture over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from dash import Dash
from dash.development.base_component import Component

_NAMES: Final = {"className": "class", "tabIndex": "tabindex"}
_VOID: Final = frozenset({"input", "img", "br"})
_UNSEEN: Final = frozenset({"Store", "Location"})
_SCRIPT: Final = re.compile(r'<script src="([^"]+)"></script>')
_OWN: Final = re.compile(r"/assets/(\w+)\.js")

AT_ONCE: Final = ("clock", "address", "timeline_axis", "timeline_data", "timeline_paint", "timeline", "start")
"""Scripts in `assets/` that a page runs before Dash is there, in this order."""


def as_html(part: Any) -> str:
    """A layout as HTML. A component that only React can draw is a box with its label, and a
    class of its name like `box-select`.
    """
    return "".join(_pieces(part))


def _pieces(part: Any) -> Iterator[str]:
    if isinstance(part, list | tuple):
        for each in part:
            yield from _pieces(each)
    elif isinstance(part, Component):
        yield from _component(part)
    elif part is not None:
        yield escape(str(part))


def _component(part: Component) -> Iterator[str]:
    told = part.to_plotly_json()
    kind, own = told["type"], {**told["props"]}
    children = own.pop("children", None)
    if kind in _UNSEEN:
        return
    if kind == "MantineProvider":
        yield from _pieces(children)
    elif told["namespace"] == "dash_mantine_components":
        yield f'<div class="box box-{kind.lower()}">{escape(own.get("label", ""))}</div>'
    else:
        tag = kind.lower()
        yield f"<{tag}{_attributes(own)}>"
        yield from _pieces(children)
        yield "" if tag in _VOID else f"</{tag}>"


def _attributes(own: dict[str, Any]) -> str:
    said = {_NAMES.get(name, name): value for name, value in own.items()}
    return "".join(
        f" {name}" if value is True else f' {name}="{escape(str(value))}"'
        for name, value in said.items()
        if value is not False and value is not None
    )


class StagedDash(Dash):
    """Dash, whose scripts are in a template, where they rest until `assets/start.js` loads them.

    So no script of the document's own runs, and the policy need not allow any.
    """

    def interpolate_index(self, *_: Any, **parts: str) -> Any:
        scripts = _SCRIPT.findall(parts["scripts"])
        own = {match[1]: script for script in scripts if (match := _OWN.match(script))}
        first = [own[name] for name in AT_ONCE]
        later = [script for script in scripts if script not in first]
        resting = f'<template id="later">{_tags(later)}{parts["renderer"]}</template>'
        return super().interpolate_index(**{**parts, "scripts": resting + _tags(first), "renderer": ""})


def _tags(scripts: list[str]) -> str:
    return "".join(f'<script src="{script}"></script>' for script in scripts)
