"""Of the pinned requirements, those that one system needs: so that its image stays small.

`python container/needed.py task-queue` reads pyproject.toml (what the extra of this name wants) and
requirements.txt (the pins, with hashes, and for each package `via` whom it is there); it writes the
same lines, fewer, to standard output.
"""

import re
import sys
import tomllib
from pathlib import Path

ALWAYS = ("click", "httpx", "pika", "psutil", "rich")
"""Of what the whole kit depends on: the command line, the client, the worker on RabbitMQ."""


def needed(root: Path, extra: str) -> str:
    """The lines."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][extra]
    names = {*ALWAYS, *(re.split(r"[^\w.-]", one)[0] for one in wanted)}
    blocks = re.split(r"^(?=\S)", (root / "requirements.txt").read_text(), flags=re.MULTILINE)
    pins = {block.split("==")[0].split("[")[0]: block for block in blocks if "==" in block}
    via = {
        name: set(re.findall(r"^ +#(?: via)? +([\w.-]+)", block, re.MULTILINE))
        for name, block in pins.items()
    }
    more = set(names)
    while more:
        more = {name for name, whom in via.items() if whom & names} - names
        names |= more
    if missing := names - pins.keys():
        sys.exit(f"requirements.txt has no {', '.join(sorted(missing))}: run make lock.")
    return "".join(block for name, block in pins.items() if name in names)


if __name__ == "__main__":
    sys.stdout.write(needed(Path(__file__).parent.parent, sys.argv[1]))
