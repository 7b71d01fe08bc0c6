"""The event reference is what the structs say."""

from __future__ import annotations

import runpy

from flowtell.events import TYPES


def test_the_page_is_not_stale(root):
    """`make docs` writes it."""
    made = runpy.run_path(str(root / "docs" / "event_reference.py"))["page"]()
    assert (root / "docs" / "reference" / "events.md").read_text() == made


def test_every_type_has_its_place(root):
    lines = (root / "docs" / "reference" / "events.md").read_text().splitlines()
    headings = "".join(line for line in lines if line.startswith("### "))
    assert [name for name in TYPES if f"`{name}`" not in headings] == []
