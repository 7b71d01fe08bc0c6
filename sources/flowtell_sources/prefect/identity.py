"""Ids and moments of what Prefect says, so that each fact is the same one by whichever way it came."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from flowtell.ids import derived_id

_SOURCE: Final = "prefect"
_MOST_FRACTION: Final = re.compile(r"(\.\d{6})\d+")


def run_id(external: str) -> str:
    """Prefect's own UUID as 32 hex digits; of an id that is no UUID a UUIDv5, the same each time."""
    try:
        return UUID(external).hex
    except (ValueError, AttributeError, TypeError):
        return uuid5(NAMESPACE_URL, f"{_SOURCE}:{external}").hex


def is_uuid(external: str) -> bool:
    """Whether it is an id as Prefect makes them."""
    try:
        return str(UUID(external)) == external.lower()
    except (ValueError, AttributeError, TypeError):
        return False


def fact_id(moment: int, *parts: str) -> str:
    """The id of one fact: of its moment there, and of what it is about."""
    return derived_id(moment, _SOURCE, *parts)


def digest(value: Any) -> str:
    """A short hash of plain data, the same for the same content."""
    return blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=8).hexdigest()


def moment(text: str | None) -> int | None:
    """µs since the epoch of an ISO 8601 time; None where there is none, or it is none."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(_MOST_FRACTION.sub(r"\1", text))
    except (ValueError, TypeError):
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def iso(moment_us: int) -> str:
    """The moment as Prefect's API takes it."""
    return datetime.fromtimestamp(moment_us // 1_000_000, UTC).replace(microsecond=moment_us % 1_000_000).isoformat()
