"""What a run shows and tells: artifacts, events, assets, and a limit around a block."""

import json

from prefect import flow, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.assets import Asset, add_asset_metadata, materialize
from prefect.concurrency.sync import concurrency
from prefect.events import emit_event

ORDERS = Asset(key="s3://lake/orders")


@materialize(ORDERS, by="duckdb", asset_deps=["postgres://shop/orders"])
def write(rows: list[dict]) -> list[dict]:
    ORDERS.add_metadata({"rows": len(rows)})
    add_asset_metadata("s3://lake/orders", {"checked": True})
    return rows


@materialize("s3://lake/totals", "s3://lake/means")
def totals(rows: list[dict]) -> int:
    return sum(row["sum"] for row in rows)


@task
def shown(rows: list[dict]) -> list[bool]:
    ids = [
        create_table_artifact(key="orders", table=rows, description="What was sold."),
        create_markdown_artifact(key="summary", markdown="# Sold\n\n- two\n"),
        create_link_artifact(key="page", link="https://example.org/orders", link_text="orders"),
    ]
    progress = create_progress_artifact(progress=10.0, key="progress")
    update_progress_artifact(artifact_id=progress, progress=100.0)
    return [bool(one) for one in [*ids, progress]]


@task
def limited() -> str:
    with concurrency("parity-database", occupy=1):
        return "had its turn"


@flow
def showing() -> dict:
    rows = write([{"day": "2026-11-20", "sum": 3}, {"day": "2026-11-21", "sum": 4}])
    event = emit_event(event="shop.orders.written", resource={"prefect.resource.id": "shop.orders"}, payload={"rows": 2})
    return {"total": totals(rows), "shown": shown(rows), "event": event is not None, "limited": limited()}


if __name__ == "__main__":
    print(json.dumps({"result": showing(), "key": ORDERS.key}))
