"""A reading command that reports when it holds the role: stopped from outside between slices and inside one.

slices.py SECONDS_IN_A_SLICE
"""

import sys
import time

from flowtell import config
from flowtell.server import catch_up

work = catch_up._CatchUp._work
close = catch_up._CatchUp.close


def later(self):
    """Between the last slice and the store's closing there is time to be stopped in."""
    time.sleep(1)
    close(self)


catch_up._CatchUp.close = later


def slowly(self, stop_at):
    print("inside", flush=True)
    time.sleep(float(sys.argv[1]))
    answer = work(self, stop_at)
    print("outside", flush=True)
    return answer


catch_up._CatchUp._work = slowly
while True:
    catch_up.catch_up(config.load({"plugins.disable": "dashboard"}), timeout=0.1)
    time.sleep(0.3)
