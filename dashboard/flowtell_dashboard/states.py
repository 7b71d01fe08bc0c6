"""How a state looks: a word, an icon and a colour for light and for dark, together the pages' one stylesheet of states.

Any two colours stay apart (CIEDE2000 above 10) for people with protanopia, deuteranopia and tritanopia too, and each
has a contrast of at least 3 to its background, as WCAG 1.4.11 asks of icons. `tests/dashboard/test_states.py` measures.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote


class Look(NamedTuple):
    """`icon` is the path of an SVG of 16 by 16, drawn as a stroke."""

    word: str
    light: str
    dark: str
    icon: str


_CIRCLE: Final = "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13"

LOOKS: Final[dict[str, Look]] = {
    "scheduled": Look("Scheduled", "#7b8db2", "#dfdffd", "M2 3.5h12v11H2zM2 6.5h12M5 1.5v3M11 1.5v3"),
    "late": Look("Late", "#72702c", "#f6fcb5", f"{_CIRCLE}M8 4.5v4.2M8 11v.6"),
    "pending": Look("Pending", "#173742", "#56797c", _CIRCLE),
    "waiting": Look("Waiting", "#a776f1", "#9b71fc", "M4 1.5h8M4 14.5h8M5 1.5v3l6 7v3M11 1.5v3l-6 7v3"),
    "running": Look("Running", "#2b67c8", "#6ebcfc", "M8 1.5a6.5 6.5 0 1 1-6.5 6.5"),
    "retrying": Look("Retrying", "#c67f00", "#fdd055", "M13.5 8a5.5 5.5 0 1 1-1.7-4M12.5 1v3.3H9.2"),
    "paused": Look("Paused", "#2d0255", "#a74cad", "M5 2.5v11M11 2.5v11"),
    "cancelling": Look("Cancelling", "#341a09", "#a78e72", f"{_CIRCLE}M5 8h.1M8 8h.1M11 8h.1"),
    "completed": Look("Completed", "#449269", "#96cd91", f"{_CIRCLE}M5 8.3l2.2 2.2L11.2 6"),
    "cached": Look("Cached", "#39655f", "#cefaea", "M1.5 8.5l3.5 3.5L11 5M8.5 12l6-7"),
    "failed": Look("Failed", "#dd4d53", "#eb3c2e", f"{_CIRCLE}M5.5 5.5l5 5M10.5 5.5l-5 5"),
    "timed_out": Look("Timed out", "#803100", "#fd8210", f"{_CIRCLE}M8 4.5V8l2.5 2"),
    "cancelled": Look("Cancelled", "#4d423a", "#7a7163", f"{_CIRCLE}M5 8h6"),
    "crashed": Look("Crashed", "#a51d88", "#d07bbe", "M9.5 1L3 9h4.2L6.5 15L13 7H8.8z"),
    "skipped": Look("Skipped", "#8c8d8f", "#a3a3a3", "M3 3.5L7.5 8L3 12.5M8.5 3.5L13 8l-4.5 4.5"),
}
UNKNOWN: Final = Look("Unknown", "#495057", "#ced4da", f"{_CIRCLE}M6.3 6.3a1.8 1.8 0 1 1 2.4 1.9q-.7.3-.7 1.3M8 11.6v.1")


def look(state: str) -> Look:
    """How the state looks; one of tomorrow keeps its own word."""
    return LOOKS.get(state) or UNKNOWN._replace(word=state.replace("_", " ").capitalize() or UNKNOWN.word)


def stylesheet() -> str:
    """CSS that gives every element with `data-state` its colour and its icon."""
    rules = [_rule("[data-state]", UNKNOWN)]
    rules += [_rule(f'[data-state="{state}"]', shown) for state, shown in LOOKS.items()]
    return "\n".join(rules)


def _rule(selector: str, shown: Look) -> str:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" stroke="#000" '
        f'stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"><path d="{shown.icon}"/></svg>'
    )
    colours = f"--state: light-dark({shown.light}, {shown.dark})"
    return f'{selector} {{ {colours}; --state-icon: url("data:image/svg+xml,{quote(drawing)}"); }}'
