"""`flowtell db backup` and `restore`: a copy of the whole store, made while a server writes to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowtell.cli import cells
from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.cli.progress import progress_bar
from flowtell.config import load

if TYPE_CHECKING:
    from flowtell.config import Config


def backup(file: str, /, *, json: Json = False) -> None:
    """Write a consistent copy of the store into a new file; a server goes on writing meanwhile.

    SQLite makes a file that is a store itself. PostgreSQL needs its program pg_dump.

    Args:
        file: The file to make.
    """
    from flowtell.store.backup import back_up

    log_to_stderr()
    config, output = load(), Output(json=json)
    with progress_bar(output, "Backing up", bytes=not _is_sqlite(config)) as advance:
        size = back_up(config.store_url, file, advance)
    _print(output, "backup", file, size)


def restore(file: str, /, *, json: Json = False) -> None:
    """Bring a backup back into the configured store, which must be empty or not there yet.

    Journals that are still there are read on from where they were when the backup was made.

    Args:
        file: A file of 'flowtell db backup'.
    """
    from flowtell.server.restoring import restore_store

    log_to_stderr()
    config, output = load(), Output(json=json)
    with progress_bar(output, "Restoring") as advance:
        restore_store(config, file, advance)
    _print(output, "restored", file, os.path.getsize(file))


def _is_sqlite(config: Config) -> bool:
    return config.store_url.startswith("sqlite")


def _print(output: Output, name: str, file: str, size: int) -> None:
    if output.json:
        output.print_json({name: os.path.abspath(file), "bytes": size})
    else:
        output.print_facts([(name, cells.Cell(file, file, whole=False)), ("size", cells.size(size))])
