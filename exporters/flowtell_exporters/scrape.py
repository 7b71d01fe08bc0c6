"""The text of `/metrics` as it is committed now: what was written since the last scrape, and what stands around."""

from __future__ import annotations

from flowtell.plugin import Context
from flowtell_exporters.exposition import page
from flowtell_exporters.kept_text import KeptText
from flowtell_exporters.surroundings import Surroundings


class Scrape:
    """What a scrape reads: rows that were committed since the last one, and what no event feeds."""

    def __init__(self, context: Context, max_flows: int) -> None:
        self._kept = {openmetrics: KeptText(context.read, exemplars=openmetrics) for openmetrics in (False, True)}
        self._surroundings = Surroundings(context, max_flows)

    def text(self, openmetrics: bool) -> str:
        kept = self._kept[openmetrics]
        kept.refresh()
        texts = {**kept.texts(), **self._surroundings.texts()}
        return page(texts, openmetrics=openmetrics, histograms=kept.histograms)
