"""How runs end: hooks, states in place of exceptions, states that are returned, failures that are let in."""

import json

from prefect import allow_failure, flow, task
from prefect.states import Completed, Failed

told = []


def say(work, run, state):
    told.append([work.name, state.name])


@task(on_completion=[say], on_failure=[say])
def divide(number: int, by: int) -> float:
    return number / by


@task
def describe(value) -> str:
    return f"{type(value).__name__}"


@task(timeout_seconds=0.1)
def slow() -> None:
    import time

    time.sleep(5)


@flow(on_completion=[say], on_failure=[say], on_running=[say])
def dividing(by: int) -> dict:
    good = divide(6, 3, return_state=True)
    bad = divide(6, by, return_state=True)
    submitted = divide.submit(6, by)
    let_in = describe(allow_failure(submitted))
    held_up = describe.submit(submitted)
    held_up.wait()
    late = slow(return_state=True)
    return {
        "good": [good.name, good.is_completed(), good.result()],
        "bad": [bad.name, bad.is_failed(), type(bad.result(raise_on_failure=False)).__name__],
        "future": [submitted.state.name, type(submitted.result(raise_on_failure=False)).__name__],
        "let_in": let_in,
        "held_up": held_up.state.is_completed(),
        "late": [late.name, late.is_failed()],
    }


@dividing.on_completion
def more(work, run, state):
    told.append(["more", state.name])


@flow
def says_failed():
    return Failed(message="three files are missing")


@flow
def says_completed():
    return Completed(message="nothing to do", data=42)


@flow(on_failure=[say])
def raises():
    raise ValueError("no rows")


@flow
def forgives():
    divide.submit(1, 0).wait()
    return "went on"


def ended(state) -> list:
    return [state.name, state.is_final(), state.is_completed()]


if __name__ == "__main__":
    result = dividing(0)
    states = [says_failed(return_state=True), says_completed(return_state=True), raises(return_state=True)]
    try:
        raises()
    except ValueError as error:
        reraised = str(error)
    try:
        says_failed()
    except Exception as error:  # noqa: BLE001  # whatever each package raises
        raised = [type(error).__name__, str(error)]
    print(
        json.dumps(
            {
                "result": result,
                "told": told,
                "states": [ended(state) for state in states],
                "messages": [states[0].message, states[1].message],
                "data": says_completed(),
                "reraised": reraised,
                "raised": raised,
                "forgives": forgives(),
            }
        )
    )
