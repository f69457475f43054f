"""A `kindling serve` process for the checks with Python's clients; makes nothing when run."""

import contextlib
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def serving(*arguments):
    """The address of a server of these models and options, which ends with the block. Needs `npm run build`."""
    command = ["node", ROOT / "dist" / "cli" / "main.js", "serve", *map(str, arguments), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for line in server.stdout:
            if address := re.search(r"^serving .* at (http\S+)", line):
                yield address.group(1)
                break
        else:
            raise RuntimeError(f"the server ended with {server.wait()}")
    finally:
        server.terminate()
        server.wait(60)
