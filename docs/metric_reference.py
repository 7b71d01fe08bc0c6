"""Writes docs/reference/metrics.md from the registry of metric families. Run by `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from flowtell_exporters.families import DURATION_BUCKETS, FAMILIES
from flowtell_exporters.prometheus_settings import Settings

sys.path.insert(0, str(Path(__file__).parent))

from struct_notes import notes, toml

PAGE = Path(__file__).parent / "reference" / "metrics.md"

INTRODUCTION = """\
# Metrics

<!-- Written by docs/metric_reference.py: `make docs`. Change flowtell_exporters/families.py instead. -->

What `/metrics` shows, and `flowtell grafana export` draws and alarms on. [Metrics](../metrics.md) tells what to do with
it. A stable family keeps its name, type, labels and meaning until the next major version. Labels never hold a run's id or
name: where a family has exemplars, OpenMetrics shows `trace_id` and `span_id` of the run that raised the number last.
"""


def page() -> str:
    """The whole page."""
    return "\n".join((INTRODUCTION, *_table(), *_buckets(), *_settings()))


def _table() -> Iterator[str]:
    yield "| metric | | type | labels | unit | exemplars | stability |"
    yield "|---|---|---|---|---|---|---|"
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        exemplars = "yes" if family.exemplars else ""
        facts = (f"`{family.name}`", family.help, family.type, labels, family.unit, exemplars, family.stability)
        yield f"| {' | '.join(facts)} |"


def _buckets() -> Iterator[str]:
    yield f"\nBuckets, in seconds: {', '.join(f'{bound:g}' for bound in DURATION_BUCKETS)}, +Inf; configurable.\n"


def _settings() -> Iterator[str]:
    yield "## Configuration\n"
    yield "Keys of `[plugin.prometheus]` in `flowtell.toml`; unknown ones are errors.\n"
    yield " ".join((Settings.__doc__ or "").replace("`max_*`: how", "`max_*` say how").split()) + "\n"
    yield "| key | default | |"
    yield "|---|---|---|"
    said = notes(Settings)
    for field in msgspec.structs.fields(Settings):
        yield f"| `{field.name}` | `{toml(field.default)}` | {said.get(field.name, '')} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE, file=sys.stderr)
