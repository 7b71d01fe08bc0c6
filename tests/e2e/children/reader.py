"""A reading command in a loop: catches up, again and again, until it is told to end.

reader.py STOP_FILE [PAUSE_SECONDS]
"""

import sys
import time
from pathlib import Path

from flowtell import config
from flowtell.server.catch_up import catch_up

while not Path(sys.argv[1]).exists():
    settings = config.load({"plugins.disable": "dashboard"})
    began = time.monotonic()
    freshness = catch_up(settings)
    print(
        f"{time.monotonic() - began:.3f} {freshness.server} {freshness.behind_bytes} {freshness.behind_events}", flush=True
    )
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0.01)
