"""Writes docs/reference/settings.md from the core's settings and those that our own plugins state. Run by `make docs`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec

from flowtell.config import SETTINGS, Setting

sys.path.insert(0, str(Path(__file__).parent))

from struct_notes import notes, toml

PAGE = Path(__file__).parent / "reference" / "settings.md"

STATED = {
    "jsonlines": "flowtell_exporters.jsonlines",
    "nats": "flowtell_exporters.nats",
    "openlineage_out": "flowtell_lineage.openlineage.sending.settings",
    "otlp_logs": "flowtell_exporters.otel.settings",
    "otlp_metrics": "flowtell_exporters.otlp_metrics",
    "otlp_traces": "flowtell_exporters.otel.settings",
    "prefect_metrics": "flowtell_exporters.prefect_compat.settings",
    "prometheus": "flowtell_exporters.prometheus_settings",
    "webhook": "flowtell_exporters.webhook",
}
"""Our own plugins whose keys are a struct `Settings`, and where."""

INTRODUCTION = """\
# Settings

<!-- Written by docs/setting_reference.py: `make docs`. Change flowtell/config.py or a plugin's Settings instead. -->

Keys of `flowtell.toml`, or of `[tool.flowtell]` in `pyproject.toml`. The environment goes before the file, a command's own
argument before both: `server.port` is `FLOWTELL_SERVER__PORT`, `max_flows` of `[plugin.prometheus]` is
`FLOWTELL_PLUGIN__PROMETHEUS__MAX_FLOWS`. A variable that ends in `_FILE` names a file that holds the value. An unknown key
is an error. `flowtell config show --sources` says which value comes from where.
"""


def page() -> str:
    """The whole page."""
    return "\n".join((INTRODUCTION, *_core(), *_plugins()))


def _core() -> Iterator[str]:
    yield "| key | default | |"
    yield "|---|---|---|"
    for setting in SETTINGS:
        yield f"| `{setting.key}` | {_default(setting)} | {setting.help} |"
    yield ""


def _default(setting: Setting) -> str:
    return "" if setting.default in ("", ()) else f"`{toml(setting.default)}`"


def _plugins() -> Iterator[str]:
    for plugin, module in sorted(STATED.items()):
        found: Any = importlib.import_module(module)
        yield f"## `[plugin.{plugin}]`\n"
        yield "| key | default | |"
        yield "|---|---|---|"
        said = notes(found.Settings)
        for field in msgspec.structs.fields(found.Settings):
            default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
            shown = "" if default in ("", (), {}, None) else f"`{toml(default)}`"
            yield f"| `{field.name}` | {shown} | {said.get(field.name, '')} |"
        yield ""


def plugins_without() -> set[str]:
    """Plugins of the exporters whose keys this page does not tell."""
    ours = {one.name for one in entry_points(group="flowtell.plugins") if one.value.startswith("flowtell_exporters.")}
    return ours - STATED.keys()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
