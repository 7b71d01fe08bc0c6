"""How an asset stands, as one of the states' looks and a word of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

from dash import html

from flowtell_dashboard.pieces import attributes
from flowtell_dashboard.states import look


class Standing(NamedTuple):
    """`state` gives colour and icon."""

    state: str
    word: str

    def shown(self) -> Any:
        return html.Span(self.word, className="state", **attributes(data_state=self.state))


def standing(state: str, made: int | None, *, stale: bool, failing: int = 0) -> Standing:
    """The worst that is known of it.

    Args:
        state: how the latest attempt to make it ended.
        made: when the data was made that is there now.
        stale: whether something that it is made of was made since.
        failing: checks that did not pass.
    """
    if state not in {"", "materialized", "cached"}:
        return Standing(state, look(state).word)
    if failing:
        return Standing("failed", f"{failing} checks failed" if failing > 1 else "Check failed")
    if stale:
        return Standing("late", "Stale")
    return Standing("completed", "Fresh") if made else Standing("", "Not made here")
