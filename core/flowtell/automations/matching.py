"""Whether an event is one that a trigger waits for; a named reason where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from flowtell.automations.statement import Trigger
from flowtell.events import Event


def mismatch(trigger: Trigger, event: Event) -> str:
    """Empty where the event fits, else in which field it does not, with both sides."""
    if not fits(trigger.event or trigger.absent, event.type):
        return f"its type is {event.type}"
    for name in ("flow", "deployment", "environment", "state", "resource"):
        patterns: Sequence[str] = getattr(trigger, name)
        if patterns:
            value = _value(name, event)
            if not fits(patterns, value):
                return f"its {name} is {value or 'none'}, not {', '.join(patterns)}"
    return ""


def fits(patterns: Sequence[str], text: str) -> bool:
    """Whether one of the patterns fits, and none with `!` in front."""
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return (not wanted or any(fnmatchcase(text, one) for one in wanted)) and not any(
        fnmatchcase(text, one) for one in unwanted
    )


def _value(name: str, event: Event) -> str:
    if name != "resource":
        return str(getattr(event, name, "") or "")
    resource = getattr(event, "resource", None)
    if isinstance(resource, dict):
        return str(resource.get("id", ""))
    return str(getattr(event, "asset", "") or "")
