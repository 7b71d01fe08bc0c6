"""Records what a Prefect server of this version says after one round of the mixed workload, for tests without one.

PREFECT_ENVIRONMENT=… python -m tests.sources.prefect.record
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from .conftest import ENVIRONMENT, RECORDED, WORKLOAD, PrefectServer
from .truth import all_events

LISTS = {
    "deployments": "deployments",
    "flow_runs": "flow_runs",
    "flows": "flows",
    "limits": "v2/concurrency_limits",
    "logs": "logs",
    "pools": "work_pools",
    "queues": "work_queues",
    "tag_limits": "concurrency_limits",
    "task_runs": "task_runs",
}


def record(server: PrefectServer) -> None:
    server.play_through("arrange")
    server.play_through("1")
    time.sleep(30)  # until its loop has marked late what is late, and its clients have sent their logs
    folder = RECORDED / server.get(f"{server.url}/admin/version")
    folder.mkdir(exist_ok=True)
    documents = {name: server.all(what) for name, what in LISTS.items()}
    for pool in documents["pools"]:
        pool["base_job_template"] = {}  # long, and not read
    for name, found in {**documents, "events": all_events(server)}.items():
        text = "".join(f"{_neutral(document, server)}\n" for document in found)
        (folder / f"{name}.jsonl").write_text(text)


def _neutral(document: Any, server: PrefectServer) -> str:
    """Without the folders of the machine on which it was recorded."""
    text = msgspec.json.encode(document).decode()
    for here, there in {server.home: "/var/prefect", ENVIRONMENT: "/opt/prefect", WORKLOAD.parent: "/srv/flows"}.items():
        text = text.replace(str(here), there)
    return text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="prefect-") as home:
        recorded_from = PrefectServer(Path(home))
        recorded_from.start()
        try:
            record(recorded_from)
        finally:
            recorded_from.kill()
