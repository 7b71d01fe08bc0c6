"""All that the log has, as OpenLineage events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from flowtell.plugin import LogView
from flowtell_lineage.jobs import OWN

_PAGE: Final = 2_000


def exported(log: LogView, *, namespace: str = OWN, advance: Callable[[float, float], None]) -> Iterator[str]:
    """One JSON text for each event, in the log's order, what had come in as OpenLineage events among them.

    Args:
        advance: told how many events of the log are done, and of how many.

    Raises:
        ExtraMissing: openlineage-python is not installed.
    """
    emitter, to_json, types = _tools(namespace)
    head, after = log.head(), 0
    while events := log.read(after, _PAGE, types):
        for event in events:
            yield from map(to_json, emitter.take(event).sent)
        after = events[-1].seq
        advance(after, head)


def _tools(namespace: str) -> tuple[Any, Callable[[Any], str], tuple[str, ...]]:
    from flowtell.errors import ExtraMissing

    try:
        from openlineage.client.serde import Serde
    except ImportError as error:
        raise ExtraMissing("openlineage_out", str(error.name), "flowtell-lineage[openlineage]") from error
    from flowtell_lineage.openlineage.sending.emitter import WANTED, Emitter

    return Emitter(namespace=namespace, received=True), Serde.to_json, tuple(kind.type for kind in WANTED)
