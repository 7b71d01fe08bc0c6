"""Parameter values as the event log keeps them: plain JSON, bounded, secrets left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from flowtell.bus import settings
from flowtell.cutting import cut
from flowtell.engine.results import result_of

REDACTED = "********"
_REPR = 500


def captured(values: Mapping[str, Any]) -> dict[str, Any]:
    """Each value encoded, at most `capture.max_value_bytes` of it. Never raises, and changes no value.

    A value beyond the bound becomes `{"type", "size"}`, one that JSON has no form for `{"type", "repr"}`.
    """
    if not values:
        return {}
    config = settings()
    words, most = config["capture.redact"], config["capture.max_value_bytes"]
    return {name: REDACTED if _secret(name, words) else _kept(value, words, most) for name, value in values.items()}


def is_secret(name: str) -> bool:
    """Whether values under this name are not to be shown."""
    return _secret(name, settings()["capture.redact"])


def _secret(name: str, words: Sequence[str]) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in words)


def _kept(value: Any, words: Sequence[str], most: int) -> Any:
    if isinstance(value, str | bytes | list | tuple | dict | set) and len(value) > most:
        return {"type": type(value).__name__, "size": len(value)}
    try:
        encoded = msgspec.json.encode(value, enc_hook=_described)
    except Exception:  # noqa: BLE001  # it holds itself, has keys that JSON lacks, or a part of it raises
        return _described(value)
    if len(encoded) > most:
        return {"type": result_of(value).type, "size": len(encoded)}
    return _redacted(msgspec.json.decode(encoded), words)


def _redacted(value: Any, words: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {key: REDACTED if _secret(key, words) else _redacted(inner, words) for key, inner in value.items()}
    return [_redacted(inner, words) for inner in value] if isinstance(value, list) else value


def _described(value: Any) -> Any:
    if hasattr(type(value), "model_dump"):  # a pydantic model
        return value.model_dump(mode="json")
    try:
        text = cut(repr(value), _REPR)
    except Exception:  # noqa: BLE001  # whatever a user's __repr__ raises
        text = "<its repr raises>"
    return {"type": result_of(value).type, "repr": text}
