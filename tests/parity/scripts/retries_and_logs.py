"""Retries with delays, a condition and back-off; prints and logs; a flow that tries again."""

import json

from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run, task_run
from prefect.tasks import exponential_backoff

seen = []


@task(retries=3, retry_delay_seconds=[0.01, 0.02, 0.03])
def flaky(limit: int) -> str:
    seen.append(["flaky", task_run.run_count])
    if task_run.run_count < limit:
        raise ConnectionError(f"try {task_run.run_count}")
    return f"after {task_run.run_count}"


def only_connections(task, run, state) -> bool:
    try:
        state.result()
    except ConnectionError:
        return True
    except Exception:  # noqa: BLE001  # whatever each package raises
        return False
    return False


@task(
    retries=5,
    retry_delay_seconds=exponential_backoff(backoff_factor=0.01),
    retry_jitter_factor=0.5,
    retry_condition_fn=only_connections,
)
def particular(kind: str) -> str:
    seen.append([kind, task_run.run_count])
    if kind == "value":
        raise ValueError("never again")
    if task_run.run_count < 3:
        raise ConnectionError("again")
    return kind


@flow(log_prints=True, retries=1, retry_delay_seconds=0.01)
def loading(day: str = "2026-11-20") -> dict:
    print("loading", day)
    get_run_logger().info("attempt %s", flow_run.run_count)
    got = [flaky(3), particular("connection")]
    try:
        particular("value")
    except ValueError as error:
        got.append(str(error))
    if flow_run.run_count == 1:
        raise RuntimeError("the flow itself")
    return {"got": got, "attempt": flow_run.run_count}


if __name__ == "__main__":
    result = loading()
    print(json.dumps({"result": result, "seen": seen}))
