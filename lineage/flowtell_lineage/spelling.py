"""Asset events with the one spelling of each key, so that `s3a://lake/x` of one system is `s3://lake/x` of the next."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from flowtell_lineage import names

canonical = lru_cache(maxsize=65_536)(names.canonical)
"""`names.canonical`, remembered: a batch names few assets many times."""


def in_one_spelling(event: Any) -> Any:
    """The event itself where all its keys are spelled so."""
    changes: dict[str, Any] = {}
    if canonical(event.asset) != event.asset:
        changes["asset"] = canonical(event.asset)
    upstream = getattr(event, "upstream", ())
    if any(canonical(up.asset) != up.asset for up in upstream):
        changes["upstream"] = tuple(msgspec.structs.replace(up, asset=canonical(up.asset)) for up in upstream)
    columns = getattr(event, "columns", ())
    if any(canonical(origin.asset) != origin.asset for column in columns for origin in column.origins):
        changes["columns"] = tuple(map(_column, columns))
    aliases = getattr(event, "aliases", ())
    if any(canonical(alias) != alias for alias in aliases):
        changes["aliases"] = tuple(map(canonical, aliases))
    return msgspec.structs.replace(event, **changes) if changes else event


def _column(column: Any) -> Any:
    origins = tuple(msgspec.structs.replace(origin, asset=canonical(origin.asset)) for origin in column.origins)
    return msgspec.structs.replace(column, origins=origins)
