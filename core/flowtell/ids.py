"""Ids: UUIDv7 as 32 hex digits, 48 bits of time and the rest from the system's generator.

Never `random`, which users seed, and nothing kept across a fork. The last seven bytes are random, as W3C trace context
level 2 asks, so that a run id can serve as a trace id and its low 56 bits decide sampling.
"""

from __future__ import annotations

import os
import time

_TAIL = 20  # hex digits after the 12 of time: 7aaa-baaa-aaaaaaaaaaaa
_POOL_SIZE = 256
_KEEP = int("0fff3fffffffffffffff" * _POOL_SIZE, 16)
_MARK = int("70008000000000000000" * _POOL_SIZE, 16)
_pool: list[str] = []
_stamp: tuple[int, str] = (0, "0" * 12)
"""The last millisecond and its digits: the ids of a busy millisecond share them."""
_fork_hook_set = False


def _refill() -> None:
    """Draw the random part of many ids at once, version and variant put over all of them in two big-integer steps."""
    global _fork_hook_set
    if not _fork_hook_set:
        os.register_at_fork(after_in_child=_pool.clear)
        _fork_hook_set = True
    drawn = int.from_bytes(os.urandom(_POOL_SIZE * _TAIL // 2), "big") & _KEEP | _MARK
    digits = drawn.to_bytes(_POOL_SIZE * _TAIL // 2, "big").hex("-", _TAIL // 2)
    _pool.extend(digits.split("-"))


def _tail(digest: str) -> str:
    """Version and variant put over 20 hex digits of a hash."""
    return f"{int(digest, 16) & 0x0FFF_3FFF_FFFF_FFFF_FFFF | 0x7000_8000_0000_0000_0000:020x}"


def new_id(now_us: int | None = None) -> str:
    """A new id of this moment, or of `now_us` µs since the epoch. From any thread."""
    global _stamp
    if now_us is None:
        now_us = time.time_ns() // 1000
    now = now_us // 1000
    at, prefix = _stamp
    if at != now:
        prefix = f"{now:012x}"
        _stamp = now, prefix
    while True:
        try:
            return prefix + _pool.pop()
        except IndexError:
            _refill()


def derived_id(moment_us: int, *parts: str) -> str:
    """The same id for the same moment and parts, for ever: what makes a redelivered fact the same fact."""
    from hashlib import blake2b  # OpenSSL behind it takes 3 ms to load, which a flow's start need not pay

    digest = blake2b("\x1f".join(parts).encode(), digest_size=10).hexdigest()
    return f"{max(moment_us, 0) // 1000:012x}{_tail(digest)}"


def following_id(identifier: str) -> str:
    """The one id that belongs to the end of what `identifier` began: whoever tells the end, it is the same event."""
    return f"{int(identifier, 16) + 1:032x}"


def crash_id(run: str, writer: str, otherwise: int = 0) -> str:
    """The id of the event that ends `run` because the process that wrote journal `writer` is gone, whoever says so.

    `otherwise` is the moment to take for a run whose own id has none, in µs.
    """
    return derived_id(moment_of(run) or otherwise, "crashed", run, writer)


def moment_of(identifier: str) -> int:
    """The moment in a UUIDv7, in µs since the epoch; 0 for an id of another kind."""
    return int(identifier[:12], 16) * 1000 if is_id(identifier) and identifier[12] == "7" else 0


def is_id(text: str) -> bool:
    """Whether `text` is 32 lower-case hex digits."""
    return len(text) == 32 and not text.strip("0123456789abcdef")


def span_id(run: str) -> str:
    """The span id of a run: the last eight bytes of its id."""
    return run[-16:]
