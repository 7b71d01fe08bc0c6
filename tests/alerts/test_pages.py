"""Tables are read at start page by page, and every row of them."""

from __future__ import annotations

from flowtell import events as e
from flowtell_alerts import _pages, tables


def test_every_row_is_read_once_however_many_pages_there_are(world, monkeypatch):
    """Also where a page ends with the table."""
    for number in range(30):
        world.appends(e.FlowDeclared, flow=f"flow-{number:02}")
    world.passes()
    context = world.harness.runner._context
    for rows in (1, 7, 10, 30, 100):
        monkeypatch.setattr(_pages, "ROWS", rows)
        names = [row.name for row in _pages.every_row(context, tables.subjects)]
        assert names == [f"flow-{number:02}" for number in range(30)]
