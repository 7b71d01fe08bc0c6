"""How a page's parts are filled: one shape for all of them, so that a page tells only what it shows and asks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple

from dash import Dash, Input, Output, set_props

from flowtell_dashboard.answers import Answers

Place = tuple[str, str]
"""A part of the layout: its id, and which of its properties."""

PATH: Final[Place] = ("place", "pathname")
HREF: Final[Place] = ("place", "href")
SEARCH: Final[Place] = ("place", "search")
PULSE: Final[Place] = ("pulse", "data")


class Filling(NamedTuple):
    """What stands in `into`, asked anew when the log has moved and when `on` changes.

    All pages that ask the same share one answer.
    """

    into: tuple[Place, ...]
    find: Callable[[Any], Any]
    """Makes the parts' values, in the order of `into`, out of what is asked. Called on a worker thread."""
    on: Place = PATH
    asked: Callable[[Any], Hashable] = lambda _: None
    """What of `on` matters, cleaned; by default nothing does."""


def fill(app: Dash, answers: Answers, filling: Filling) -> None:
    """Let Dash fill these parts while they are in the layout; what goes wrong stands in `trouble` until it goes well."""
    outputs = [Output(*place) for place in filling.into]

    @app.callback(outputs, Input("seq", "data"), Input(*filling.on))
    async def filled(_seq: int, given: Any) -> list[Any]:
        asked = filling.asked(given)
        shown = await answers.to((filling.into, asked), lambda: filling.find(asked))
        set_props("trouble", {"children": None})
        return list(shown)
