"""Results that are used again: by a key function, by policies, for a time, and anew when asked."""

import json
from datetime import timedelta

from prefect import flow, task
from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE
from prefect.tasks import task_input_hash

computed = []


@task(cache_key_fn=task_input_hash, cache_expiration=timedelta(hours=1))
def hashed(day: str) -> str:
    computed.append(f"hashed {day}")
    return day.upper()


@task(cache_key_fn=lambda context, parameters: f"own-{parameters['day'][:7]}", persist_result=True)
def by_month(day: str) -> str:
    computed.append(f"by_month {day}")
    return day


@task(cache_policy=INPUTS - "verbose")
def quietly(day: str, verbose: bool = False) -> str:
    computed.append(f"quietly {day}")
    return day[::-1]


@task(cache_policy=INPUTS + TASK_SOURCE, refresh_cache=True)
def fresh(day: str) -> str:
    computed.append(f"fresh {day}")
    return day


@task(cache_policy=NO_CACHE)
def never(day: str) -> str:
    computed.append(f"never {day}")
    return day


@flow
def report(day: str) -> list:
    return [hashed(day), by_month(day), quietly(day, verbose=len(computed) > 5), fresh(day), never(day)]


@flow
def states(day: str) -> list:
    return [hashed(day, return_state=True).name, never(day, return_state=True).name]


if __name__ == "__main__":
    results = [report("2026-11-20"), report("2026-11-20"), report("2026-11-21")]
    print(json.dumps({"results": results, "computed": computed, "states": states("2026-11-20")}))
