"""Coroutines as flows and tasks: gathered, submitted, mapped, retried, in time and too late."""

import asyncio
import json

from prefect import flow, task

tries = []


@task
async def fetch(number: int) -> int:
    await asyncio.sleep(0.01)
    return number * number


@task(retries=2, retry_delay_seconds=0.01)
async def flaky() -> int:
    tries.append(1)
    await asyncio.sleep(0)
    if len(tries) < 3:
        raise ConnectionError("again")
    return len(tries)


@task(timeout_seconds=0.1)
async def stuck() -> None:
    await asyncio.sleep(30)


@task
def plain(number: int) -> int:
    return number + 1


@flow
async def child(number: int) -> int:
    return await fetch(number) + 1


@flow
async def gathering(upto: int) -> dict:
    gathered = await asyncio.gather(*(fetch(number) for number in range(upto)))
    mapped = fetch.map(range(upto))
    state = await stuck(return_state=True)
    return {
        "gathered": gathered,
        "mapped": mapped.result(),
        "submitted": fetch.submit(9).result(),
        "plain": plain(1),
        "child": await child(3),
        "children": await asyncio.gather(child(1), child(2)),
        "flaky": await flaky(),
        "stuck": [state.name, state.is_failed()],
    }


if __name__ == "__main__":
    print(json.dumps({"result": asyncio.run(gathering(4)), "tries": len(tries)}))
