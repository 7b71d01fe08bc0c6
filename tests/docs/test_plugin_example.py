"""The plugins that the docs show are those that are shipped."""

from __future__ import annotations

import inspect

import pytest

from flowtell_exporters.jsonlines import JsonLines
from flowtell_exporters.prefect_compat import families
from flowtell_exporters.prefect_compat.plugin import PrefectMetrics
from flowtell_exporters.prefect_compat.settings import Settings


@pytest.mark.parametrize("plugin", [JsonLines, PrefectMetrics], ids=lambda plugin: plugin.__name__)
def test_the_page_shows_the_exporter_as_it_is(root, plugin):
    """Word for word: who changes the exporter changes the page."""
    page = (root / "docs" / "plugins.md").read_text()
    assert f"```py\n{inspect.getsource(plugin)}```" in page


def test_it_has_about_fifteen_lines():
    """Docstring and blank lines apart: small enough to be read before lunch."""
    lines = [line for line in inspect.getsource(JsonLines).splitlines() if line.strip() and '"""' not in line]
    assert len(lines) <= 15


def test_the_page_of_prefects_metrics_has_all_of_them(root):
    """Every metric, and every setting."""
    page = (root / "docs" / "exporters_prefect.md").read_text()
    assert all(f"`{family.name}" in page for family in families.FAMILIES)
    assert all(f"| `{name}` |" in page for name in Settings.__struct_fields__)
