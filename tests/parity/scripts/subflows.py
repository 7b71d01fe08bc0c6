"""Flows in flows: parameters that are checked, names made of them, where each run stands, options of their own."""

import json
from datetime import date

from prefect import flow, task
from prefect.runtime import flow_run, task_run
from pydantic import BaseModel


class Range(BaseModel):
    start: date
    days: int = 1


@task(task_run_name="load-{table}")
def load(table: str, part: Range) -> dict:
    return {"table": table, "days": part.days, "start": str(part.start), "named": task_run.name, "flow": flow_run.flow_name}


@flow(name="inner flow", flow_run_name="inner-{part.days}", validate_parameters=True)
def inner(table: str, part: Range) -> dict:
    return load(table, part) | {
        "run": flow_run.name,
        "parameters": sorted(flow_run.parameters),
        "has_parent": bool(flow_run.parent_flow_run_id),
    }


@flow(flow_run_name=lambda: "outer-run")
def outer(day: date, count: int) -> dict:
    part = {"start": day, "days": count}
    renamed = inner.with_options(name="renamed flow", flow_run_name="other")
    return {
        "day": [type(day).__name__, str(day)],
        "count": count + 1,
        "inner": inner("orders", part),
        "renamed": renamed("items", Range(start=day)),
        "run": flow_run.name,
        "has_parent": bool(flow_run.parent_flow_run_id),
        "plain": inner.fn.__name__,
        "kept": [inner.name, renamed.name],
    }


if __name__ == "__main__":
    result = outer("2026-11-20", "3")
    refused = outer("no day", 3, return_state=True)
    print(json.dumps({"result": result, "refused": [refused.name, refused.is_failed()]}))
