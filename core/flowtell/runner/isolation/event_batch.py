"""A batch of events as one JSON array: types and fields that this version does not know pass through as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Union

import msgspec

from flowtell.decoders import decoder
from flowtell.events import TYPES, Event, UserEvent, decode, encode, encode_value

_raw: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def encode_batch(events: Sequence[Event]) -> bytes:
    """The events with what the log has added."""
    if any(event.__class__ is UserEvent for event in events):
        return b"[" + b",".join([encode(event) for event in events]) + b"]"
    return encode_value(events)


def decode_batch(array: bytes) -> list[Event]:
    """The same events again."""
    try:
        return _known()(array)
    except msgspec.ValidationError:  # one of a type that is not known here is among them
        return [decode(bytes(line)) for line in _raw(array)]


@cache
def _known() -> Callable[[bytes | str], list[Event]]:
    kinds: Any = list[Union[tuple(TYPES.values())]]  # type: ignore[misc]  # noqa: UP007  # made at run time, as in `events`
    return decoder(kinds)
