"""Addresses of Prefect's own pages."""

from __future__ import annotations

import re
from typing import Final

_CLOUD: Final = re.compile(r"https://api\.prefect\.cloud/api/accounts/([^/]+)/workspaces/([^/]+)/?")


class Links:
    """Pages of runs, below the address of Prefect's UI. Where that is not given it is the API's without `/api`."""

    def __init__(self, api_url: str, ui_url: str = "") -> None:
        cloud = _CLOUD.fullmatch(api_url)
        if cloud and not ui_url:
            ui_url = f"https://app.prefect.cloud/account/{cloud[1]}/workspace/{cloud[2]}"
        self.base: Final = (ui_url or api_url.rstrip("/").removesuffix("/api")).rstrip("/")

    def flow_run(self, external: str) -> str:
        return f"{self.base}/runs/flow-run/{external}"

    def task_run(self, external: str) -> str:
        return f"{self.base}/runs/task-run/{external}"
