"""What of a back-fill is written on a command line: dates, and values of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowtell.cli.flow_words import parameters_of
from flowtell.cli.outcome import Misuse
from flowtell.engine.backfill.cases import dated_parameter
from flowtell.engine.backfill.dates import dates

if TYPE_CHECKING:
    from flowtell.engine.flows import Flow


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The options about dates; empty where they were not given."""

    since: str
    until: str
    step: str
    into: str


def values_of(flow: Flow[..., Any], span: Span, pairs: Sequence[str]) -> Mapping[str, Sequence[Any]]:
    """By parameter what it is to be, the dates first.

    Raises:
        Misuse: nothing is asked for, or it cannot be understood.
        BadBackfill: it is not clear which parameter takes the dates.
    """
    named = {name: _values(text) for name, text in parameters_of(pairs).items()}
    if not span.since and not span.until:
        if span.into or not named:
            raise Misuse("Say over what: --from 2026-11-01 --to 2026-11-30, or -p shop=berlin,paris.")
        return named
    if not span.since or not span.until:
        raise Misuse("A range has two ends: --from 2026-11-01 --to 2026-11-30.")
    try:
        moments = dates(span.since, span.until, span.step or "day")
    except ValueError as error:
        raise Misuse(f"{error}.") from error
    return {span.into or dated_parameter(flow, named): moments, **named}


def name_of(span: Span, pairs: Sequence[str]) -> str:
    """What it is called where nobody names it: the same for the same words, which therefore go on with the same one."""
    days = f"{span.since}..{span.until}" if span.since else ""
    step = f"by {span.step}" if span.step not in ("", "day") else ""
    words = " ".join(part for part in (days, step, *pairs) if part)
    if len(words) <= _LONGEST:
        return words
    return f"{words[:_LONGEST]}… {blake2b(words.encode(), digest_size=4).hexdigest()}"


_LONGEST: Final = 100
"""Characters of a name."""


def _values(text: str) -> list[Any]:
    """Divided by commas; or a JSON list, where a value has a comma itself."""
    if not text.startswith("["):
        return text.split(",")
    try:
        return msgspec.json.decode(text, type=list[Any])
    except msgspec.MsgspecError as error:
        raise Misuse(f"{text} begins as a JSON list and is none: {error}.") from error
