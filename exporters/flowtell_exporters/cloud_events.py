"""An event as a CloudEvent (CloudEvents 1.0.2: attributes, and the extension `sequence`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from flowtell.events import Event, encode

TYPE_PREFIX: Final = "flowtell."


def cloud_event(event: Event) -> dict[str, Any]:
    """Its attributes and, as `data`, the event as the log has it.

    `id` is the event's own, and with `source` unique for ever. `subject` is what it is about: a task run, a run or an asset.
    `sequence` is its place in the log, as text that sorts.
    """
    about = event.task_run or event.run or getattr(event, "asset", "") or getattr(event, "incident", "")
    made: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": source_of(event),
        "type": TYPE_PREFIX + event.type,
        "time": datetime.fromtimestamp(event.time / 1e6, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "sequence": f"{event.seq:020d}",
        "data": msgspec.Raw(encode(event)),
    }
    if about:
        made["subject"] = about
    return made


def source_of(event: Event) -> str:
    """Where it comes from, as a path: the environment, then the feed that it came by."""
    return "/".join(["/flowtell", *(quote(part, safe="") for part in (event.environment, event.source) if part)])
