"""Takes the README's picture: the pages of the demo, in Debian's Chromium. Run by `make pictures`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from flowtell.demo.process import play
from flowtell.demo.stage import Stage, open_stage
from flowtell.demo.steps import AFTERWARDS, FAILING, TOUR, Step, with_backup

PICTURES = Path(__file__).parent / "pictures"
SIZE = {"width": 1280, "height": 760}
LONG = Step("normals", "still running", ("run", "flowtell.demo.pipelines.normals:normals", "-p", "samples=40000"))


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flowtell-pictures-") as home:
        os.environ["FLOWTELL_HOME"] = home
        with open_stage(0) as stage:
            for step in (*with_backup(TOUR), *AFTERWARDS[:4]):
                play(step, stage)
            stage.settle()
            take(stage)


def take(stage: Stage) -> None:
    with sync_playwright() as playwright, ThreadPoolExecutor(1) as aside:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        failed = play(FAILING, stage).run
        shoot(browser, f"{stage.url}/runs/{failed.id if failed else ''}", "failed-run.png")
        running = aside.submit(play, LONG, stage)
        shoot(browser, stage.url, "runs.png", awaited="#runs >> text=Running")
        browser.close()
        running.result()


def shoot(browser: Browser, address: str, name: str, awaited: str = ".ag-row") -> None:
    page = browser.new_page(viewport=SIZE, device_scale_factor=1, color_scheme="light")
    page.goto(address)
    page.wait_for_selector(awaited, timeout=30_000)
    page.wait_for_timeout(1_000)  # columns take their width after the rows are there
    page.screenshot(path=PICTURES / name)
    page.close()
    print(PICTURES / name, file=sys.stderr)


if __name__ == "__main__":
    main()
