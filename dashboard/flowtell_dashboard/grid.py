"""The one kind of table on these pages: AG Grid's community edition, its cells drawn in `assets/cells.js`."""

from __future__ import annotations

from typing import Any

import dash_ag_grid


def column(field: str, title: str, *, cell: str = "", **more: Any) -> dict[str, Any]:
    """One column. `cell` names a renderer of `assets/cells.js`, which is handed the whole row."""
    shown = {"cellRenderer": cell} if cell else {}
    return {"field": field, "headerName": title, **shown, **more}


def grid(id: str, label: str, columns: list[dict[str, Any]], **options: Any) -> Any:
    """A table with the rows' `id` as their identity, so that new rows slide in and selection and scroll stay.

    On a narrow screen the column `card` is shown alone; see `assets/tables.js`.
    """
    card = column("card", label, cell="Card", hide=True, flex=1)
    return dash_ag_grid.AgGrid(
        id=id,
        columnDefs=[*columns, card],
        rowData=None,
        getRowId="params.data.id",
        defaultColDef={"sortable": False, "resizable": True, "suppressMovable": True, "suppressHeaderMenuButton": True},
        dashGridOptions={
            "animateRows": False,
            "domLayout": "autoHeight",
            "enableCellTextSelection": True,
            "ensureDomOrder": True,
            "suppressNoRowsOverlay": True,
            "rowHeight": 46,
            "headerHeight": 38,
            "suppressColumnVirtualisation": True,
            **options,
        },
        enableEnterpriseModules=False,
        dangerously_allow_code=False,
        style={"height": None, "width": "100%"},
    )
