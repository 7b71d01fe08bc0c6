"""The reference of metrics is what the registry says."""

from __future__ import annotations

import runpy

from flowtell_exporters.families import FAMILIES


def test_the_page_is_not_stale(root):
    """`make docs` writes it."""
    made = runpy.run_path(str(root / "docs" / "metric_reference.py"))["page"]()
    assert (root / "docs" / "reference" / "metrics.md").read_text() == made


def test_every_family_has_its_place(root):
    text = (root / "docs" / "reference" / "metrics.md").read_text()
    assert [family.name for family in FAMILIES if f"`{family.name}`" not in text] == []
    assert all(family.help.endswith(".") for family in FAMILIES)
