"""Summarise each month in a task run of its own: a fan-out over 48 months, and back into one table."""

from __future__ import annotations

from typing import NamedTuple

from flowtell import ThreadPoolTaskRunner, failed, flow, materialize, measure, task
from flowtell.demo.pipelines import place


class Month(NamedTuple):
    month: str
    days: int
    rain_mm: float
    mean_c: float


@task
def list_months() -> list[str]:
    with place.warehouse() as db:
        return [month for (month,) in db.execute("SELECT DISTINCT substr(date, 1, 7) AS month FROM days ORDER BY month")]


@task(task_run_name="{month}")
def summarise(month: str) -> Month:
    with place.warehouse() as db:
        days = db.execute("SELECT rain_mm, warmest_c, coldest_c FROM days WHERE substr(date, 1, 7) = ?", [month]).fetchall()
    mean = sum((warmest + coldest) / 2 for _, warmest, coldest in days) / len(days)
    return Month(month, len(days), round(sum(rain for rain, _, _ in days), 1), round(mean, 2))


@materialize(place.MONTHS, asset_deps=[place.DAYS])
def write(months: list[Month]) -> None:
    with place.warehouse() as db:
        db.execute("CREATE TABLE IF NOT EXISTS months (month PRIMARY KEY, days, rain_mm, mean_c)")
        db.executemany("INSERT OR REPLACE INTO months VALUES (?, ?, ?, ?)", months)
    measure("rows", len(months))
    measure("wettest month", max(month.rain_mm for month in months), "mm")


@flow(rules=[failed()], task_runner=ThreadPoolTaskRunner(max_workers=4))
def months() -> None:
    """Summarise every month, side by side."""
    write(summarise.map(list_months()).result())


if __name__ == "__main__":
    months()
