"""A home of one's own for a test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from flowtell import bus


@contextmanager
def temporary_home(**settings: str) -> Iterator[str]:
    """A fresh FLOWTELL_HOME for this process and its children; removed at the end. Nothing is shipped from it.

    Further keywords set FLOWTELL_… variables: `temporary_home(environment="test")`.
    """
    with tempfile.TemporaryDirectory(prefix="flowtell-", ignore_cleanup_errors=True) as home:
        wanted = {"FLOWTELL_HOME": home, "FLOWTELL_URL": ""} | {
            f"FLOWTELL_{key.upper()}": value for key, value in settings.items()
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        bus.renew()
        try:
            yield home
        finally:
            bus.renew()
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
