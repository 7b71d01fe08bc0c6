"""The smallest plugin of the docs is the one that is shipped."""

from __future__ import annotations

import inspect

from flowtell_exporters.jsonlines import JsonLines


def test_the_page_shows_the_exporter_as_it_is(root):
    """Word for word: who changes the exporter changes the page."""
    page = (root / "docs" / "plugins.md").read_text()
    assert f"```py\n{inspect.getsource(JsonLines)}```" in page


def test_it_has_about_fifteen_lines():
    """Docstring and blank lines apart: small enough to be read before lunch."""
    lines = [line for line in inspect.getsource(JsonLines).splitlines() if line.strip() and '"""' not in line]
    assert len(lines) <= 15
