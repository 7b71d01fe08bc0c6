"""Few rows are told; too few stop the pipeline, so that what is downstream keeps the data of yesterday."""

from __future__ import annotations

import sys

from flowtell import Asset, failed, flow, materialize, measure, measured

ORDERS = Asset("file://shop/orders", owners=["shop@example.org"])
REPORT = Asset("file://shop/report", owners=["board@example.org"])


class TooFewRows(ValueError):
    """The pipeline goes no further."""


@materialize(ORDERS)
def load(count: int, least: int) -> list[int]:
    rows = list(range(count))
    measure("rows", len(rows))
    if not ORDERS.check("enough rows", len(rows) >= least, value=len(rows)):
        raise TooFewRows(f"{len(rows)} rows came in, at least {least} are needed")
    return rows


@materialize(REPORT)
def report(rows: list[int]) -> int:
    return sum(rows)


@flow(rules=[failed(severity="critical"), measured("rows", below=500)])
def orders(count: int = 1000, least: int = 100) -> int:
    """Orders in, report out."""
    return report(load(count, least))


if __name__ == "__main__":
    orders(int(sys.argv[1]) if sys.argv[1:] else 1000)
