"""What a run shows to whoever looks at it: tables, markdown, links, progress. The names of `prefect.artifacts`.

Outside a run they do nothing, so that a function can be tested by its `.fn`. One that is larger than
`capture.max_artifact_bytes` is cut, with a line in the run's log: what a run shows is no reason for it to fail.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from math import isfinite
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from flowtell.bus import emit, settings
from flowtell.engine.context import current
from flowtell.engine.logs import record
from flowtell.engine.statements import place
from flowtell.events import ArtifactCreated, encode_value
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.runs import Run

Table = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | Sequence[Sequence[Any]]
"""Columns by name, or rows: as mappings, or as lists."""

_LOGGER: Final = "flowtell.artifacts"


class ArtifactId(str):
    """The id of an artifact: 32 hex digits. It can be awaited too, as scripts with async flows do."""

    __slots__ = ("key",)
    key: str

    def __await__(self) -> Generator[Any, Any, ArtifactId]:
        return self
        yield  # which makes it a generator


def create_table_artifact(table: Table, key: str | None = None, description: str | None = None) -> ArtifactId:
    """Show a table. One under the same key, of the same task, takes its place."""
    return _create("table", table, key, description)


def create_markdown_artifact(markdown: str, key: str | None = None, description: str | None = None) -> ArtifactId:
    """Show a text: headings, lists, code and paragraphs; anything else in it stays the text it is."""
    return _create("markdown", str(markdown), key, description)


def create_link_artifact(
    link: str, link_text: str | None = None, key: str | None = None, description: str | None = None
) -> ArtifactId:
    """Show a link. Only http and https addresses can be followed from the page."""
    return _create("link", {"link": str(link), "text": link_text or str(link)}, key, description)


def create_progress_artifact(progress: float, key: str | None = None, description: str | None = None) -> ArtifactId:
    """Show how far it is, in percent. `update_progress_artifact` moves it on."""
    return _create("progress", progress, key, description)


def update_progress_artifact(artifact_id: str, progress: float, description: str | None = None) -> ArtifactId:
    """Say how far that one is now, in percent; gives the same id."""
    key = getattr(artifact_id, "key", None)
    return _create("progress", progress, key, description, of=artifact_id)


acreate_table_artifact = create_table_artifact
acreate_markdown_artifact = create_markdown_artifact
acreate_link_artifact = create_link_artifact
acreate_progress_artifact = create_progress_artifact
aupdate_progress_artifact = update_progress_artifact
"""For `await`: nothing here waits, so the same functions do, and their id can be awaited."""


def _create(kind: str, data: Any, key: str | None, description: str | None, *, of: str = "") -> ArtifactId:
    now = time_ns() // 1000
    identifier = new_id(now)
    artifact = ArtifactId(of or identifier)
    artifact.key = key or ""
    run = current.get()
    if run is None:
        return artifact
    shown = _percent(run, artifact, data) if kind == "progress" else _within_bounds(run, artifact, data)
    if shown is not None:
        emit(
            ArtifactCreated(
                id=identifier, time=now, key=artifact.key, kind=kind, data=shown, description=(description or "")[:_LONGEST],
                artifact=of, **place(),
            )
        )  # fmt: skip
    return artifact


_LONGEST: Final = 1000
"""Characters of a description."""


# --- what is shown of it ------------------------------------------------------------------------------------------


def _percent(run: Run, artifact: ArtifactId, progress: Any) -> float | None:
    try:
        number = float(progress)
    except (TypeError, ValueError):
        number = float("nan")
    if not isfinite(number):
        _warn(run, artifact, f"is no finite number and was left out: {progress!r:.200}")
        return None
    return min(max(number, 0.0), 100.0)


def _within_bounds(run: Run, artifact: ArtifactId, data: Any) -> Any:
    most = settings()["capture.max_artifact_bytes"]
    try:
        size = len(encode_value(data))
    except Exception as error:  # noqa: BLE001  # it holds itself, has keys that JSON lacks, or a part of it raises
        _warn(run, artifact, f"is nothing that JSON can hold and was left out: {error}")
        return None
    if size <= most:
        return data
    kept = _cut(data, most / size)
    while kept and len(encode_value(kept)) > most:
        kept = _cut(kept, 0.5)
    _warn(run, artifact, f"has {size:,} bytes and was cut to its beginning; capture.max_artifact_bytes is {most:,}")
    return kept


def _cut(data: Any, part: float) -> Any:
    """Its first rows or characters; of what has none, nothing."""
    if isinstance(data, str | list | tuple):
        return data[: int(len(data) * part)]
    if isinstance(data, Mapping):
        return {name: _cut(column, part) for name, column in data.items()}
    return ""


def _warn(run: Run, artifact: ArtifactId, problem: str) -> None:
    record(run, "WARNING", _LOGGER, f"Artifact {artifact.key or artifact} {problem}")


__all__ = [
    "ArtifactId",
    "acreate_link_artifact",
    "acreate_markdown_artifact",
    "acreate_progress_artifact",
    "acreate_table_artifact",
    "aupdate_progress_artifact",
    "create_link_artifact",
    "create_markdown_artifact",
    "create_progress_artifact",
    "create_table_artifact",
    "update_progress_artifact",
]
