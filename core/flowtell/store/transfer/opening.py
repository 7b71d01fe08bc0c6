"""Another store, opened to be read as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from flowtell.errors import StoreMissing, StoreTooOld, UnsupportedStore
from flowtell.store import open_store
from flowtell.store.store import Store


@contextmanager
def open_source(url: str) -> Iterator[Store]:
    """The store at a URL; nothing is made where none is.

    Raises:
        StoreMissing: no file or no tables of flowtell are there.
        UnsupportedStore, StoreUnreachable, StoreTooNew, StoreTooOld: as `open_store`.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UnsupportedStore(url.partition(":")[0]) from None
    shown = parsed.render_as_string()
    if parsed.get_backend_name() == "sqlite" and not os.path.isfile(parsed.database or ""):
        raise StoreMissing(shown, "there is no such file")
    try:
        store = open_store(url, read_only=True)
    except StoreTooOld as error:
        if error.found:
            raise
        raise StoreMissing(shown, "it holds no tables of flowtell") from None
    try:
        yield store
    finally:
        store.close()
