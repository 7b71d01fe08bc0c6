"""The sign and the colour of how a materialization ended."""

from __future__ import annotations

from typing import Final

from flowtell.cli import cells

_MADE: Final = ("✔", "green")


def sign(state: str) -> tuple[str, str]:
    """Sign and style of rich."""
    return _MADE if state == "materialized" else cells.STATES.get(state, ("?", ""))


def cell(state: str) -> cells.Cell:
    """A state in a table; nothing where the asset was never made."""
    mark, style = sign(state)
    return cells.Cell(state, f"{mark} {state.replace('_', ' ')}" if state else "", style)
