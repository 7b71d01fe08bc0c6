"""The mixed workload, as a team's own flows would be: run by the Python of Prefect's environment, flowtell unknown to it.

python mixed.py ROUNDS        everything that ends by itself, so many times
python mixed.py arrange       what stands around them: a pool that nobody serves, a deployment, limits
python mixed.py quick NUMBER  small flows, one after the other
python mixed.py victim        a flow that waits to be killed
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

from prefect import flow, get_client, get_run_logger, task, unmapped
from prefect.artifacts import create_markdown_artifact
from prefect.assets import materialize
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.concurrency.sync import concurrency
from prefect.events import emit_event
from prefect.states import Cancelled, Scheduled


@task
def extract(number: int) -> int:
    return number


@task(retries=2, retry_delay_seconds=0)
def flaky(number: int) -> int:
    from prefect.context import TaskRunContext

    if TaskRunContext.get().task_run.run_count < 2:
        raise ConnectionError("the first try fails")
    return number


@task
def add(left: int, right: int) -> int:
    return left + right


@task
def broken() -> None:
    raise ValueError("no rows")


@materialize("s3://lake/orders.parquet", asset_deps=["postgres://shop/public/orders"], by="spark")
def clean() -> int:
    return 1


@materialize("s3://lake/refused.parquet")
def refuse() -> None:
    raise RuntimeError("disk full")


@flow
def child(number: int) -> int:
    return extract(number)


@flow(log_prints=True)
def good(day: str = "2026-11-20", password: str = "hunter2") -> int:
    print(f"working on {day}")
    first = extract.submit(1)
    second = add.submit(first, 2)
    mapped = add.map([1, 2, 3], unmapped(1))
    total = sum(future.result() for future in mapped) + second.result()
    clean()
    create_markdown_artifact("# done", key="report")
    emit_event("acme.scored", resource={"prefect.resource.id": "acme.model.1"}, payload={"score": 0.5})
    return total + child(3)


@flow
def bad() -> None:
    get_run_logger().warning("about to fail")
    broken()


@flow
def bad_asset() -> None:
    refuse()


@flow
def retried_task() -> int:
    return flaky(1)


@flow(retries=1, retry_delay_seconds=0)
def retried_flow() -> str:
    from prefect.context import FlowRunContext

    if FlowRunContext.get().flow_run.run_count < 2:
        raise TimeoutError("the first attempt fails")
    return "second"


@flow
def quick(number: int) -> int:
    return extract(number)


@flow
def limited() -> None:
    with concurrency("database", occupy=1):
        extract(7)


@flow
def parent_of_bad() -> None:
    bad()


@flow
def victim() -> None:
    sleeper()


@task
def sleeper() -> None:
    time.sleep(2)  # by then Prefect's client has told its server that this runs
    print("ready to be killed", flush=True)
    time.sleep(600)


def tolerated(run, *arguments) -> None:
    try:
        run(*arguments)
    except Exception as error:  # noqa: BLE001  # they are meant to fail
        print(type(error).__name__)


def play(rounds: int) -> None:
    for _ in range(rounds):
        good()
        tolerated(bad)
        tolerated(bad_asset)
        retried_task()
        retried_flow()
        limited()
        tolerated(parent_of_bad)


async def arrange() -> None:
    """What stands around runs: a pool that no worker serves, a deployment, limits, runs of every sort."""
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name="nobody", type="process", concurrency_limit=3))
        flow_id = await client.create_flow_from_name("deployed")
        deployment = await client.create_deployment(
            flow_id=flow_id,
            name="berlin",
            entrypoint="mixed.py:good",
            work_pool_name="nobody",
            tags=["flowtell.owner=growth", "flowtell.max=30m", "eu"],
            parameters={"day": "today", "password": "hunter2"},
            parameter_openapi_schema={"type": "object", "properties": {"day": {"type": "string"}}},
            schedules=[],
            enforce_parameter_schema=False,
        )
        await client.create_deployment_schedules(
            deployment, [(CronSchedule(cron="0 2 1 1 *", timezone="Europe/Berlin"), True)]
        )
        for minutes in (-30, -20, 600):
            await _schedule(client, deployment, minutes)
        doomed = await _schedule(client, deployment, 120)
        await client.set_flow_run_state(doomed.id, Cancelled(message="not today"), force=True)
        gone = await _schedule(client, deployment, 180)
        await client.delete_flow_run(gone.id)
        await client.create_global_concurrency_limit(_limit("database", 2))
        await client.create_global_concurrency_limit(_limit("full", 1))
        await client.increment_concurrency_slots(names=["full"], slots=1, mode="concurrency")
        await client.create_concurrency_limit(tag="warehouse", concurrency_limit=4)


async def _schedule(client, deployment, minutes: int):
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    return await client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=at))


def _limit(name: str, limit: int):
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    return GlobalConcurrencyLimitCreate(name=name, limit=limit, active=True)


if __name__ == "__main__":
    match sys.argv[1]:
        case "victim":
            victim()
        case "arrange":
            asyncio.run(arrange())
        case "quick":
            for number in range(int(sys.argv[2])):
                quick(number)
        case rounds:
            play(int(rounds))
