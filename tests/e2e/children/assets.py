"""Runs flows that make assets until it is killed or its side file's `.stop` is there.

assets.py SIDE_FILE
"""

import sys
import time
from pathlib import Path

from flowtell import flow, materialize


@materialize("s3://lake/raw")
def extract(number: int) -> list[int]:
    time.sleep(0.1)
    return [number]


@materialize("s3://lake/clean", asset_deps=["postgres://shop/shop/public/prices"])
def clean(rows: list[int]) -> list[int]:
    time.sleep(0.01)
    return [*rows, 1]


@flow
def nightly(number: int) -> None:
    clean(extract(number))


def main(side: str) -> None:
    number = 0
    while not Path(side + ".stop").exists():
        nightly(number)
        Path(side).touch()
        number += 1


if __name__ == "__main__":
    main(sys.argv[1])
