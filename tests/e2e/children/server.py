"""A server that writes its address into a file once it answers.

server.py ADDRESS_FILE [PORT]
"""

import logging
import os
import sys

from flowtell import config
from flowtell.server.app import run_server


def announce(url: str) -> None:
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(url)
    os.rename(sys.argv[1] + ".new", sys.argv[1])


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    run_server(config.load({"server.port": port, "plugins.disable": "dashboard"}), announce=announce)
