"""What an editor knows of decorated functions. Checked by mypy and pyright, not run."""

from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, assert_type

from flowtell import Asset, flow, materialize, measure, task, too_long
from flowtell.engine.flows import Flow
from flowtell.engine.futures import Future
from flowtell.engine.tasks import Task


@task
def bare(x: int, y: str = "") -> float:
    return float(x) + len(y)


@task(retries=3, retry_delay_seconds=[1, 10], tags=["a"], timeout_seconds=60)
def configured(x: int) -> list[str]:
    return [str(x)]


@task
async def awaited(x: int) -> bytes:
    return bytes(x)


@task
def pages() -> Iterator[int]:
    yield 1


@task
async def rows() -> AsyncIterator[str]:
    yield ""


@materialize(Asset("s3://lake/a"), "s3://lake/b", asset_deps=["s3://raw/x"], by="duckdb", retries=1)
def make(x: int) -> dict[str, int]:
    measure("rows", x)
    return {"a": x}


@flow
def plain(day: str = "") -> int:
    return len(day)


@flow(rules=[too_long("30m")], owners=["me"], log_prints=True)
async def nightly(day: str) -> bool:
    assert_type(await awaited(1), bytes)
    assert_type(await awaited.submit(1), bytes)
    return bool(day)


@flow
async def awaits() -> None:
    assert_type(await nightly("x"), bool)


assert_type(bare(1, y="b"), float)
assert_type(bare.fn(1), float)
assert_type(configured(1), list[str])
assert_type(pages(), Iterator[int])
assert_type(rows(), AsyncIterator[str])
assert_type(make(1), dict[str, int])
assert_type(plain("x"), int)

assert_type(bare.submit(1), Future[float])
assert_type(bare.submit(1).result(), float)
assert_type(awaited.submit(1), Future[bytes])
assert_type(awaited.submit(1).result(timeout=1), bytes)

also_a_task: Task[[int], list[str]] = configured.with_options(retries=1, name="other")
also_a_flow: Flow[[str], Coroutine[Any, Any, bool]] = nightly.with_options(retries=1)

bare("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
plain(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
task(retrys=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
