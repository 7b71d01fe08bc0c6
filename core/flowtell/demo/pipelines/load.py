"""Load the readings into the warehouse: extract, transform, load, and one table made of another."""

from __future__ import annotations

import csv
from typing import NamedTuple

from flowtell import failed, flow, get_run_logger, materialize, measure, task
from flowtell.demo.pipelines import place


class Day(NamedTuple):
    date: str
    rain_mm: float
    warmest_c: float
    coldest_c: float
    weather: str


@task
def extract() -> list[dict[str, str]]:
    with place.LANDING.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@task
def transform(lines: list[dict[str, str]]) -> list[Day]:
    return [
        Day(x["date"], float(x["precipitation"]), float(x["temp_max"]), float(x["temp_min"]), x["weather"]) for x in lines
    ]


@materialize(place.DAYS, asset_deps=[place.READINGS])
def load_days(days: list[Day]) -> None:
    with place.warehouse() as db:
        db.execute("CREATE TABLE IF NOT EXISTS days (date PRIMARY KEY, rain_mm, warmest_c, coldest_c, weather)")
        db.executemany("INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?, ?)", days)
    measure("rows", len(days))
    get_run_logger().info("%d days, %s to %s", len(days), days[0].date, days[-1].date)


@materialize(place.RECORDS, asset_deps=[place.DAYS])
def find_records() -> None:
    with place.warehouse() as db:
        db.execute("DROP TABLE IF EXISTS records")
        db.execute(
            "CREATE TABLE records AS SELECT substr(date, 1, 4) AS year, max(warmest_c) AS warmest_c,"
            " min(coldest_c) AS coldest_c, max(rain_mm) AS wettest_mm FROM days GROUP BY year"
        )
        (years,) = db.execute("SELECT count(*) FROM records").fetchone()
    measure("rows", years)


@flow(rules=[failed()])
def load() -> None:
    """Read the landed file, give its columns types, and replace the days and records in the warehouse."""
    load_days(transform(extract()))
    find_records()


if __name__ == "__main__":
    load()
