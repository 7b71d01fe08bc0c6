"""The export file: gzip over lines of JSON, written and read as a stream (docs/store.md has the format).

First the header; then for each table a line that begins it, its rows, and a line that ends it with their number and
checksum; last a line that ends the export, so that a file that was cut off is known.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

import msgspec

from flowtell.decoders import convert
from flowtell.errors import BadExport, StoreTooNew, StoreTooOld
from flowtell.store.tables import SCHEMA_VERSION
from flowtell.store.transfer.layout import TableLayout
from flowtell.store.transfer.rows import Row, RowFormat
from flowtell.store.transfer.source import BATCH, FORMAT, Header, Progress, Source
from flowtell.store.transfer.tally import Tally

_LEVEL: Final = 4
"""Of gzip: a third slower and a twentieth smaller than 1."""

_LONGEST: Final = 256 << 20
"""Bytes of a line."""

_OLDEST: Final = 2
"""The schema with which exports came."""

_OBJECT: Final = b"{"
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def write_export(source: Source, file: BinaryIO, progress: Progress) -> dict[str, Tally]:
    """Write all of a source into an open file. Returns what each table was."""
    tallies: dict[str, Tally] = {}
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed:
        _write(packed, msgspec.to_builtins(source.header))
        for layout in source.header.tables:
            tally = tallies[layout.name] = Tally()
            _write(packed, {"table": layout.name})
            for batch in source.batches(layout):
                lines = [line for line, _ in batch]
                tally.add(lines)
                packed.write(b"\n".join(lines) + b"\n" if lines else b"")
                progress(layout.name, len(lines))
            _write(packed, {"end": layout.name, "rows": tally.rows, "checksum": tally.checksum})
        _write(packed, {"end": "export", "tables": len(tallies)})
    return tallies


def _write(packed: gzip.GzipFile, value: dict[str, Any]) -> None:
    packed.write(msgspec.json.encode(value) + b"\n")


class ExportFile:
    """A source, read once from an open file. Every table's checksum is compared when the table is over."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Reads the header.

        Raises:
            BadExport: it is no export, or of a later format.
            StoreTooNew, StoreTooOld: it was made by a release whose tables are not known here.
        """
        self.name = name
        self._packed = gzip.GzipFile(fileobj=file, mode="rb")
        self._line = 0
        self.header = self._read_header()

    def batches(self, layout: TableLayout) -> Iterator[Sequence[tuple[bytes, Row]]]:
        self._expect({"table": layout.name})
        tally, decode = Tally(), RowFormat(layout).decode
        lines: list[bytes] = []
        while not (line := self._next()).startswith(_OBJECT):
            lines.append(line)
            if len(lines) == BATCH:
                yield self._decoded(lines, tally, decode)
                lines = []
        yield self._decoded(lines, tally, decode)
        told = {"end": layout.name, "rows": tally.rows, "checksum": tally.checksum}
        if self._object(line) != told:
            raise self._bad(f"table '{layout.name}' is not as it was written ({tally})")
        if layout is self.header.tables[-1]:
            self._expect({"end": "export", "tables": len(self.header.tables)})
            self._expect_nothing()

    def _decoded(self, lines: list[bytes], tally: Tally, decode: Any) -> list[tuple[bytes, Row]]:
        try:
            rows = [(line, decode(line)) for line in lines]
        except (ValueError, TypeError, msgspec.MsgspecError) as error:
            raise self._bad(f"a row is none: {error}") from error
        tally.add(lines)
        return rows

    def _read_header(self) -> Header:
        found = self._object(self._next())
        if not isinstance(found.get("flowtell_export"), int):
            raise self._bad("it begins with no header")
        if found["flowtell_export"] > FORMAT:
            raise self._bad(f"its format is {found['flowtell_export']}, known up to {FORMAT}; upgrade flowtell")
        try:
            header = convert(found, Header)
        except msgspec.ValidationError as error:
            raise self._bad(f"its header is none: {error}") from error
        if header.schema > SCHEMA_VERSION:
            raise StoreTooNew(header.schema, SCHEMA_VERSION)
        if header.schema < _OLDEST:
            raise StoreTooOld(header.schema, SCHEMA_VERSION)
        return header

    def _expect(self, wanted: dict[str, Any]) -> None:
        if self._object(self._next()) != wanted:
            raise self._bad(f"{msgspec.json.encode(wanted).decode()} was expected")

    def _expect_nothing(self) -> None:
        """Also has the checksum of gzip compared."""
        if self._read_line(1):
            raise self._bad("something follows its end")

    def _object(self, line: bytes) -> dict[str, Any]:
        try:
            return _decode_object(line)
        except msgspec.DecodeError as error:
            raise self._bad(str(error)) from error

    def _next(self) -> bytes:
        line = self._read_line(_LONGEST)
        self._line += 1
        if not line.endswith(b"\n"):
            raise self._bad("it is cut off" if len(line) < _LONGEST else "a line is too long")
        return line[:-1]

    def _read_line(self, limit: int) -> bytes:
        try:
            return self._packed.readline(limit)
        except EOFError:
            raise self._bad("it is cut off") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._bad(f"it is not packed by gzip, or damaged ({error})") from error

    def _bad(self, problem: str) -> BadExport:
        return BadExport(self.name, f"line {self._line}: {problem}")
