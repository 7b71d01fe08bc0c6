"""Where the pipelines keep their files: the folder FLOWTELL_DEMO, or `weather` in the working one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from flowtell import Asset

FOLDER = Path(os.environ.get("FLOWTELL_DEMO") or "weather")
LANDING = FOLDER / "seattle-weather.csv"
WAREHOUSE = FOLDER / "weather.db"
SHIPPED = Path(str(files("flowtell.demo") / "data"))

STATION = Asset("http://station/seattle-weather.csv", description="What the weather station offers")
READINGS = Asset("file://weather/seattle-weather.csv", description="The station's file as it was downloaded")
DAYS = Asset("sqlite://weather/days", description="One row a day, typed")
RECORDS = Asset("sqlite://weather/records", description="The warmest, coldest and wettest day of each year")
MONTHS = Asset("sqlite://weather/months", description="Rain and temperature of each month")
NORMALS = Asset("sqlite://weather/normals", description="What rain to expect in each calendar month, and how surely")


@contextmanager
def warehouse() -> Iterator[sqlite3.Connection]:
    """A connection whose changes are all committed at the end, or none."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(WAREHOUSE, timeout=10)
    try:
        with connection:
            yield connection
    finally:
        connection.close()
