"""An upload tells that it is there, and another flow loads it: neither knows the other, and each may run anywhere.

Start `flowtell up` and `python uploads.py serve`; each `python uploads.py 2026-11-20` is then loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flowtell import Asset, emit_event, flow, materialize, measure, serve, task, when

UPLOADS = Path("uploads")
LOADED = Asset("file://warehouse/orders", owners=["data@shop.example"])


@task
def write(day: str) -> Path:
    UPLOADS.mkdir(exist_ok=True)
    path = UPLOADS / f"{day}.csv"
    path.write_text("".join(f"{day},{number}\n" for number in range(24)))
    return path


@flow
def upload(day: str) -> None:
    """Put a day's orders where others find them, and say so."""
    path = write(day)
    emit_event("orders.uploaded", resource=f"file://uploads/{path.name}", payload={"day": day, "bytes": path.stat().st_size})


@materialize(LOADED)
def store(day: str) -> int:
    rows = (UPLOADS / f"{day}.csv").read_text().splitlines()
    LOADED.materialize(rows=len(rows), partition=day)
    return len(rows)


@flow(flow_run_name="{day}")
def load(day: str) -> None:
    """Begun by the event, with its day."""
    measure("orders", store(day))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve(load.to_deployment("main", automations=[when("orders.uploaded", parameters={"day": "{{ payload.day }}"})]))
    else:
        upload(sys.argv[1] if sys.argv[1:] else "2026-11-20")
