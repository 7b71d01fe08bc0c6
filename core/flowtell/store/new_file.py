"""A file that is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from flowtell.errors import FileInTheWay


@contextmanager
def new_file(path: str) -> Iterator[str]:
    """Gives the path of an empty file beside it, for its owner's eyes only, which takes the name when the block ends well.

    Raises:
        FileInTheWay: something has the name already.
    """
    if os.path.lexists(path):
        raise FileInTheWay(path)
    part = f"{path}.part"
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        yield part
        _sync(part)
        os.rename(part, path)
        _sync(os.path.dirname(os.path.abspath(path)))
    except BaseException:
        if os.path.lexists(part):
            os.unlink(part)
        raise


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
