"""What a cron line used to start, now a flow: it retries, its prints are logs, and it runs by hand as before.

Before, `0 6 * * * python3 disk_report.py >> /var/log/disk.log 2>&1` left a text file and, on a bad night, nothing at all.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from flowtell import failed, flow, measure, task


@task(retries=3, retry_delay_seconds=[1, 10, 60])
def free_share(folder: str) -> float:
    """A share on the network may be away for a moment: `OSError` is tried again."""
    total, _, free = shutil.disk_usage(folder)
    return free / total


@flow(log_prints=True, rules=[failed()])
def disk_report(folders: list[str], report: str = "disk.txt") -> float:
    """Write down how much of each disk is free."""
    shares = {folder: free_share(folder) for folder in folders}
    for folder, share in shares.items():
        print(f"{folder}: {share:.0%} free")
    Path(report).write_text("".join(f"{folder}\t{share:.4f}\n" for folder, share in shares.items()))
    least = min(shares.values())
    measure("least free", least)
    return least


if __name__ == "__main__":
    disk_report(sys.argv[1:] or ["/"])
