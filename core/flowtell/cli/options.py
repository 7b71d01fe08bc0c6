"""Options that several commands have, so that each is spelled and explained once."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", help="Print JSON.")]
JsonLines = Annotated[bool, Parameter(name="--json", help="Print one JSON object a line.")]
Follow = Annotated[bool, Parameter(name=["--follow", "-f"], help="Go on printing what comes, until Ctrl-C.")]
RunId = Annotated[str, Parameter(help="A run's, trace's or span's id, or the beginning of one.")]

__all__ = ["Follow", "Json", "JsonLines", "RunId"]
