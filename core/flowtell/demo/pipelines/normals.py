"""Estimate what rain each calendar month brings, with bounds by resampling: work long enough to be killed half-way."""

from __future__ import annotations

import random
import sqlite3
from statistics import fmean, quantiles
from typing import NamedTuple

from flowtell import failed, flow, materialize, measure, task, too_long
from flowtell.demo.pipelines import place


class Normal(NamedTuple):
    month: str
    rain_mm: float
    """Of a mean day."""
    low_mm: float
    high_mm: float


@task(task_run_name="month {month}")
def estimate(month: str, samples: int) -> Normal:
    with place.warehouse() as db:
        rain = [mm for (mm,) in db.execute("SELECT rain_mm FROM days WHERE substr(date, 6, 2) = ?", [month])]
    draw = random.Random(month)  # the same bounds each time
    means = [fmean(draw.choices(rain, k=len(rain))) for _ in range(samples)]
    bounds = quantiles(means, n=40)
    return Normal(month, round(fmean(rain), 2), round(bounds[0], 2), round(bounds[-1], 2))


@materialize(place.NORMALS, asset_deps=[place.DAYS])
def write(normals: list[Normal]) -> None:
    with place.warehouse() as db:
        _replace(db, normals)
    measure("rows", len(normals))


def _replace(db: sqlite3.Connection, normals: list[Normal]) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS normals (month PRIMARY KEY, rain_mm, low_mm, high_mm)")
    db.executemany("INSERT OR REPLACE INTO normals VALUES (?, ?, ?, ?)", normals)


@flow(rules=[failed(), too_long("500ms")])
def normals(samples: int = 12_000) -> None:
    """One month after the other, so that one that is killed leaves some done, one open and the rest undone."""
    write([estimate(f"{month:02d}", samples) for month in range(1, 13)])


if __name__ == "__main__":
    normals()
