"""Where results are kept, and how a file of one is made and taken apart."""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from flowtell import task
from flowtell.cache_policies import INPUTS
from flowtell.errors import ResultStorageMissing, ResultUnreadable
from flowtell.events import AssetMaterialized, LogRecorded, TaskRunFinished, UpstreamAsset
from flowtell.results.record import Known, pack, unpack
from flowtell.results.serializers import serializer_of
from flowtell.results.storage import storage_of
from flowtell.testing import recorder

KNOWN = Known(
    key="k\n", serializer="json", created=1, task="t",
    made=(AssetMaterialized(id="0" * 32, time=1, asset="s3://lake/a", rows=3, metadata={"a": [1]}),),
    provides=(UpstreamAsset(asset="s3://lake/a", version="2"),),
)  # fmt: skip


class Row(NamedTuple):
    one: int


def test_a_file_is_taken_apart_as_it_was_made() -> None:
    file, checksum = pack(KNOWN, b"\n\x00value")
    assert unpack(file, "here", "k\n") == (KNOWN, b"\n\x00value", checksum)


def test_no_byte_of_it_can_change_or_go_unseen() -> None:
    file, _ = pack(KNOWN, b"value")
    for place in range(len(file)):
        for broken in (file[:place], file[:place] + bytes([file[place] ^ 64]) + file[place + 1 :]):
            with pytest.raises(ResultUnreadable, match="here"):
                unpack(broken, "here", "k\n")


def test_another_keys_file_is_not_believed() -> None:
    with pytest.raises(ResultUnreadable, match="another key"):
        unpack(pack(KNOWN, b"")[0], "here", "k")


@pytest.mark.parametrize("name", ["pickle", "json", "compressed/pickle", "compressed/json"])
def test_a_value_comes_back_as_it_was(name: str) -> None:
    value = {"a": [1, 2.5, None, True, "ü"], "b": {}}
    serializer = serializer_of(name)
    assert serializer.name == name
    assert serializer.loads(serializer.dumps(value)) == value


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1: "a"}, {1, 2}, b"a", Row(1), datetime(2026, 11, 20, tzinfo=UTC), float("nan"), object(), [("a",)]],
    ids=["tuple", "number as key", "set", "bytes", "data class", "datetime", "nan", "object", "tuple in a list"],
)
def test_json_refuses_what_it_would_change(value: Any) -> None:
    with pytest.raises(TypeError):
        serializer_of("json").dumps(value)


def test_pickle_takes_functions_of_a_script_by_cloudpickle() -> None:
    pytest.importorskip("cloudpickle")
    pickle = serializer_of("pickle")
    assert pickle.loads(pickle.dumps(lambda x: x + 1))(1) == 2


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_results_go_where_fsspec_reaches(scheme: str, tmp_path: Path, home: Path) -> None:
    pytest.importorskip("fsspec")
    place = f"memory://results-{uuid.uuid4().hex}" if scheme == "memory" else f"file://{tmp_path}/results"
    calls = []

    @task(cache_policy=INPUTS, result_storage=place, result_serializer="compressed/json")
    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    @task(cache_policy=INPUTS, result_storage=place, result_serializer="compressed/json")
    async def later(x: int) -> int:
        calls.append(x)
        return 2 * x

    import asyncio

    with recorder() as seen:
        assert double(2) == double(2) == asyncio.run(later(2)) == asyncio.run(later(2)) == 4
    assert calls == [2, 2]
    assert [event.state for event in seen.of(TaskRunFinished)] == ["completed", "cached"] * 2
    assert seen.of(TaskRunFinished)[1].result.location.startswith(f"{place}/")
    assert {path.name for path in (home / "results").iterdir()} == {"locks"}


def test_an_address_that_nothing_here_reaches_is_a_warning() -> None:
    pytest.importorskip("fsspec")

    @task(cache_policy=INPUTS, result_storage="nosuch://bucket/results")
    def double(x: int) -> int:
        return 2 * x

    with recorder() as seen:
        assert double(2) == 4
    [warning] = [line.message for line in seen.of(LogRecorded)]
    assert "[FT1326]" in warning
    assert 'pip install "flowtell[storage]"' in warning
    with pytest.raises(ResultStorageMissing):
        storage_of("nosuch://bucket/results")


def test_the_configuration_says_where_and_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowtell import bus

    monkeypatch.setenv("FLOWTELL_RESULTS__STORAGE", str(tmp_path / "kept"))
    monkeypatch.setenv("FLOWTELL_RESULTS__SERIALIZER", "json")
    bus.renew()

    @task(cache_policy=INPUTS)
    def pair(x: int) -> Any:
        return [x] if x else (x,)

    with recorder() as seen:
        pair(1), pair(1), pair(0)
    assert [event.state for event in seen.of(TaskRunFinished)] == ["completed", "cached", "completed"]
    assert "serializer 'json'" in seen.of(LogRecorded)[-1].message
    assert [path.is_dir() for path in (tmp_path / "kept").iterdir()] == [True]


def test_a_value_of_a_class_that_is_gone_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("orders_of_yesterday")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec("class Order: pass", module.__dict__)

    @task(cache_policy=INPUTS)
    def order(x: int) -> Any:
        return module.Order() if hasattr(module, "Order") else x

    order(1)
    del module.Order
    with recorder() as seen:
        assert order(1) == order(1) == 1
    assert [event.state for event in seen.of(TaskRunFinished)] == ["completed", "cached"]
    assert "has no attribute 'Order'" in seen.of(LogRecorded)[0].message or "Can't get" in seen.of(LogRecorded)[0].message


def test_nothing_of_it_is_imported_before_it_is_used() -> None:
    """Neither by `import flowtell` nor by a task without a cache; fsspec not even by one with a cache here."""
    code = """
import sys
from flowtell import flow, task
@task
def plain(x): return x
plain(1)
print([name for name in sys.modules if name.startswith("flowtell.results") or name in ("pickle", "hashlib", "fsspec")])
from flowtell.cache_policies import INPUTS
@task(cache_policy=INPUTS)
def kept(x): return x
kept(1)
print([name for name in ("fsspec", "cloudpickle", "pydantic", "sqlalchemy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
