"""Flows that begin one another by automations: `orders.py serve` serves them, `orders.py upload DAY` uploads a day."""

from __future__ import annotations

import sys

from flowtell import emit_event, flow, serve, when


@flow
def upload(day: str):
    emit_event("orders.uploaded", resource=f"s3://orders/{day}", payload={"day": day})


@flow
def load(day: str, shop: str = "none"):
    print(f"loading {day} of {shop}")


@flow
def ping():
    emit_event("loop.ping")


@flow
def pong():
    emit_event("loop.pong")


if __name__ == "__main__":
    what, *more = sys.argv[1:]
    if what == "upload":
        upload(*more)
    elif what == "ping":
        ping()
    else:
        by_code = when(
            "orders.uploaded", resource="s3://orders/*-02", parameters={"day": "{{ payload.day }}", "shop": "code"}
        )
        serve(
            load.to_deployment("main", parameters={"shop": "berlin"}),
            load.to_deployment("coded", automations=[by_code]),
            ping.to_deployment("main"),
            pong.to_deployment("main"),
        )
