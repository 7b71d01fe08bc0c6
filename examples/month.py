"""What a shop took on one day. For a month of days:

flowtell backfill month.py:takings --from 2026-10-01 --to 2026-10-31 --parallel 4
"""

from __future__ import annotations

import random
from datetime import date

from flowtell import Asset, flow, materialize, measure, task

TAKINGS = Asset("file://shop/takings", owners=["shop@example.org"])


@task
def sales(day: date) -> list[int]:
    """Of one day, in cents. Closed on Sundays."""
    till = random.Random(day.toordinal())
    return [] if day.isoweekday() == 7 else [till.randrange(100, 9000) for _ in range(till.randrange(20, 60))]


@materialize(TAKINGS)
def write(amounts: list[int], day: date) -> int:
    total = sum(amounts)
    TAKINGS.materialize(rows=len(amounts), partition=day.isoformat())
    measure("takings", total / 100, "EUR")
    return total


@flow(flow_run_name="{day}")
def takings(day: date) -> int:
    """What the shop took on a day."""
    return write(sales(day), day)


if __name__ == "__main__":
    takings(date(2026, 10, 1))
