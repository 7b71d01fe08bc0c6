"""What is kept of one result: the value as bytes, what is known of it, and a checksum over both.

The file's first line names the format and has the SHA-256 of all that follows; then a line of JSON, then the value. A file
that was cut, or of which one bit fell over, is found out before anything of it is believed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from flowtell.decoders import decoder
from flowtell.errors import ResultUnreadable
from flowtell.events import AssetMaterialized, UpstreamAsset

_FORMAT: Final = b"flowtell-result 1 sha256:"
_HEAD: Final = len(_FORMAT) + 64 + 1


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a value that was kept."""

    key: str
    serializer: str
    created: int
    """When it was kept, in µs since the epoch."""
    expires: int | None = None
    flow: str = ""
    run: str = ""
    task: str = ""
    task_run: str = ""
    """The run that computed it."""
    made: tuple[AssetMaterialized, ...] = ()
    """What that run told of the assets that it made."""
    provides: tuple[UpstreamAsset, ...] = ()
    """What the value is made of."""
    unfollowed: tuple[str, ...] = ()
    """Arguments by which more may have come in."""

    def is_good_at(self, now: int, expiration: float | None) -> bool:
        """Whether it may be used at `now`: by what was said when it was kept, and by an expiration of today, in seconds."""
        if self.expires is not None and now >= self.expires:
            return False
        return expiration is None or now < self.created + expiration * 1e6


class Record(NamedTuple):
    """One file, taken apart."""

    known: Known
    value: bytes
    checksum: str


def pack(known: Known, value: bytes) -> tuple[bytes, str]:
    """The file, and its checksum as events tell it."""
    head = msgspec.json.encode(known) + b"\n"
    digest = sha256(head)
    digest.update(value)
    checksum = digest.hexdigest()
    return b"".join((_FORMAT, checksum.encode(), b"\n", head, value)), f"sha256:{checksum}"


def unpack(file: bytes, location: str, key: str) -> Record:
    """Take a file apart.

    Raises:
        ResultUnreadable: it is none, is not as it was written, or is another key's.
    """
    if file[: len(_FORMAT)] != _FORMAT:
        raise ResultUnreadable(location, "it is no result in a format known here")
    checksum = sha256(memoryview(file)[_HEAD:]).hexdigest()
    if file[len(_FORMAT) : _HEAD] != f"{checksum}\n".encode():
        raise ResultUnreadable(location, "its checksum is wrong, so it was cut or changed")
    end = file.index(b"\n", _HEAD)
    try:
        known = decoder(Known)(file[_HEAD:end])
    except msgspec.MsgspecError as error:  # of a release that spells it otherwise
        raise ResultUnreadable(location, str(error)) from error
    if known.key != key:
        raise ResultUnreadable(location, "it was kept under another key")
    return Record(known, file[end + 1 :], f"sha256:{checksum}")
