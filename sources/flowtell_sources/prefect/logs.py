"""Prefect's log records."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flowtell.events import LogRecorded
from flowtell_sources.prefect.identity import fact_id, moment, run_id


def log_recorded(record: Mapping[str, Any], facts: Mapping[str, Any]) -> LogRecorded | None:
    """One record; None where it has no time.

    Args:
        record: as `/logs/filter` gives it.
        facts: fields of the flow run that it belongs to.
    """
    at = moment(record.get("timestamp"))
    if at is None:
        return None
    task_run = record.get("task_run_id")
    return LogRecorded(
        id=fact_id(at, "log", str(record.get("id"))),
        time=at,
        task_run=run_id(str(task_run)) if task_run else "",
        level=logging.getLevelName(int(record.get("level") or logging.INFO)),
        logger=str(record.get("name", "")),
        message=str(record.get("message", "")),
        **facts,
    )
