"""Each night at two by Berlin's clocks, summer and winter; late after a quarter of an hour, to be done by six."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from flowtell import cron, current_run, deadline, flow, get_run_logger, late, task

BERLIN = ZoneInfo("Europe/Berlin")


@task(retries=2, retry_delay_seconds=30)
def close_day(day: date) -> str:
    return f"the books of {day} are closed"


@flow(rules=[late(after="15m"), deadline("06:00", tz="Europe/Berlin")])
def nightly() -> str:
    """The books of the day before the one that it was due on, however late it runs."""
    due = current_run().due or datetime.now(BERLIN)
    said = close_day(due.astimezone(BERLIN).date() - timedelta(days=1))
    get_run_logger().info(said)
    return said


if __name__ == "__main__":
    nightly.serve("berlin", schedule=cron("0 2 * * *", tz="Europe/Berlin"))
