"""An agent of the home in its environment, shipping to FLOWTELL_URL.

agent.py
"""

import sys

from flowtell import config
from flowtell.cli.signals import interrupted_by_signals
from flowtell.server.agent import run_agent

if __name__ == "__main__":
    try:
        with interrupted_by_signals():
            run_agent(config.load(), lambda words: print(words, file=sys.stderr, flush=True))
    except KeyboardInterrupt:
        pass
