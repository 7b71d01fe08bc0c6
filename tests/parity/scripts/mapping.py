"""Tasks over lists: mapped, with what all get, chained by futures, in an order of their own."""

import json

from prefect import flow, task, unmapped
from prefect.futures import as_completed, resolve_futures_to_results, wait
from prefect.task_runners import ThreadPoolTaskRunner

order = []


@task
def numbers(upto: int) -> list[int]:
    return list(range(upto))


@task
def scaled(number: int, by: int, names: list[str]) -> int:
    assert names == ["a", "b"]
    return number * by


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def note(name: str) -> str:
    order.append(name)
    return name


@flow(task_runner=ThreadPoolTaskRunner(max_workers=3))
def spread(upto: int) -> dict:
    base = numbers.submit(upto)
    many = scaled.map(base, by=unmapped(3), names=unmapped(["a", "b"]))
    first = note.submit("first", wait_for=[many])
    second = note.submit("second", wait_for=[first])
    done, not_done = wait([first, second])
    again = scaled.map([1, 2], by=[10, 100], names=unmapped(["a", "b"]))
    return {
        "many": many.result(),
        "total": total(many),
        "future_total": total.submit(many).result(),
        "pairs": [future.result() for future in again],
        "ended": sorted(future.result() for future in as_completed([first, second])),
        "done": [len(done), len(not_done)],
        "nested": resolve_futures_to_results({"x": [first, {"y": second}]}),
    }


if __name__ == "__main__":
    result = spread(4)
    print(json.dumps({"result": result, "order": order}))
