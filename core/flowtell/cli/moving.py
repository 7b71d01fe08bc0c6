"""`flowtell db export` and `import`: a whole store into a file, and a file or another store into this one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, BinaryIO

from cyclopts import Parameter

from flowtell.cli import cells
from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.options import Json
from flowtell.cli.outcome import Misuse
from flowtell.cli.output import Output
from flowtell.cli.progress import counting, progress_bar
from flowtell.cli.session import open_session
from flowtell.config import load as load_config

if TYPE_CHECKING:
    from flowtell.store.transfer import Source, Tally


Name = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""A lone - is a name too."""


def export(file: Name, /, *, json: Json = False) -> None:
    """Write every table, the core's and all plugins', into a file that either kind of store can import.

    A server may go on meanwhile: the file holds the store as it was when the command began.

    Args:
        file: A new file, such as flowtell.jsonl.gz, or - for stdout.
    """
    from flowtell.server.plugin_tables import plugin_names
    from flowtell.store.transfer import snapshot_of, write_export

    with open_session(json=json) as session, _target(file) as target:
        with (
            snapshot_of(session.store, plugin_names(session.config)) as source,
            progress_bar(session, "Exporting") as advance,
        ):
            done = write_export(source, target, counting(advance, sum(source.header.rows.values())))
        if file == "-":
            session.say(f"Exported {_in_words(done)}.")
        else:
            _print(session, done)


@contextmanager
def _target(file: str) -> Iterator[BinaryIO]:
    from flowtell.store.new_file import new_file

    if file != "-":
        with new_file(file) as part, open(part, "wb") as target:
            yield target
        return
    if sys.stdout.isatty():
        raise Misuse("The export is packed by gzip and no sight for a terminal. Name a file, or send it into a pipe.")
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def import_(source: Name, /, *, json: Json = False) -> None:
    """Bring an export, or another store by its URL, into the configured store, which must be empty.

    Everything goes in or nothing: what the store then holds is compared with what was read before it is kept. Stop the
    server first; journals go on being read where they were.

    Args:
        source: A file of 'flowtell db export', - for stdin, or the URL of another store.
    """
    from flowtell.server.plugin_tables import plugin_tables
    from flowtell.server.writing import writing_store
    from flowtell.store.transfer import load

    log_to_stderr()
    config, output = load_config(), Output(json=json)
    with _source(source) as reading, writing_store(config) as store:
        rows = sum(reading.header.rows.values())
        with progress_bar(output, "Importing") as advance:  # each row is written, and read again to compare
            step = counting(advance, 2 * rows)
            loaded = load(reading, store, plugin_tables(config), progress=step, verifying=step)
    if loaded.replaced:
        output.say(f"In {loaded.replaced:,} rows U+0000 became U+FFFD, which PostgreSQL's text cannot hold.")
    output.say(f"Imported {_in_words(loaded.tables)}; every table compared.")
    _print(output, loaded.tables)


@contextmanager
def _source(name: str) -> Iterator[Source]:
    from flowtell.store.transfer import ExportFile, open_source, snapshot_of

    if "://" in name:
        with open_source(name) as store, snapshot_of(store) as snapshot:
            yield snapshot
    elif name == "-":
        yield ExportFile(sys.stdin.buffer, "stdin")
    else:
        with _opened(name) as file:
            yield ExportFile(file, name)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    try:
        file = open(name, "rb")  # noqa: SIM115  # closed below; only its opening is what is caught
    except OSError as error:
        raise Misuse(f"{name} cannot be read: {error.strerror}.") from error
    with file:
        yield file


def _in_words(done: dict[str, Tally]) -> str:
    return f"{sum(tally.rows for tally in done.values()):,} rows of {len(done)} tables"


def _print(output: Output, done: dict[str, Tally]) -> None:
    if output.json:
        tables = {name: {"rows": tally.rows, "checksum": tally.checksum} for name, tally in done.items()}
        output.print_json({"tables": tables})
        return
    rows = [(name, tally.rows, cells.Cell(tally.checksum, tally.checksum[:8], "dim")) for name, tally in done.items()]
    output.print_table(("table", "rows", "checksum"), rows)
