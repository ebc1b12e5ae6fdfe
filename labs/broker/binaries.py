"""Where an installed RabbitMQ's programs are, and which version it is.

Debian's /usr/sbin/rabbitmq-server refuses ordinary users and, as root, becomes the
user `rabbitmq`; the programs behind it, in /usr/lib/rabbitmq/bin, do neither. The
version is read from a file: asking `rabbitmqctl` would cost a second.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

KNOWN_FOLDERS = (
    "/usr/lib/rabbitmq/bin",  # Debian, Ubuntu, Fedora
    "/opt/homebrew/opt/rabbitmq/sbin",  # Homebrew on Apple silicon
    "/usr/local/opt/rabbitmq/sbin",  # Homebrew on Intel
    "/home/linuxbrew/.linuxbrew/opt/rabbitmq/sbin",
    "/opt/rabbitmq/sbin",  # the official image, the generic Unix archive
    "/usr/local/sbin",
)


@dataclass(frozen=True)
class Binaries:
    """An installed RabbitMQ: the folder of its programs, as seen from inside `root`.

    `root` is `/`, or the folder of another system to run in (chroot, as root); a
    node that runs there must have its home below it.
    """

    folder: Path
    root: Path = Path("/")

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line that runs one of the programs, such as `rabbitmqctl`."""
        return [*self._prefix, str(self.folder / program), *arguments]

    def inside(self, path: Path) -> str:
        """A path as the programs see it."""
        return str(Path("/") / path.relative_to(self.root))

    @property
    def version(self) -> str:
        """RabbitMQ's version, such as `3.10.8`; empty when its files don't tell."""
        script = self.root / (self.folder / "rabbitmq-server").relative_to("/")
        plugins = script.resolve().parent.parent / "plugins"
        found = sorted(plugins.glob("rabbit-*"))
        match = re.match(r"rabbit-(\d+(?:\.\d+)*)", found[-1].name) if found else None
        return match[1] if match else ""

    def epmd_command(self, port: int) -> list[str]:
        """The command line of Erlang's port mapper on this port; empty where it isn't found."""
        places = ["usr/lib/erlang/erts-*/bin/epmd", "usr/lib64/erlang/erts-*/bin/epmd"]
        if self.root == Path("/") and (erl := shutil.which("erl")):
            beside_erl = Path(erl).resolve().parent.parent.relative_to("/")
            places += [f"{beside_erl}/erts-*/bin/epmd", f"{beside_erl}/lib/erlang/erts-*/bin/epmd"]
        for place in places:
            for found in sorted(self.root.glob(place), reverse=True):
                return [*self._prefix, self.inside(found), "-port", str(port)]
        return []

    @property
    def _prefix(self) -> list[str]:
        return [] if self.root == Path("/") else ["chroot", str(self.root)]


def installed() -> Binaries | None:
    """The RabbitMQ installed on this machine; None when there is none.

    The environment's `LABS_RABBITMQ` names the folder of its programs where it
    is not one of the usual ones, or where another one is meant.
    """
    if named := os.environ.get("LABS_RABBITMQ"):
        return Binaries(Path(named).absolute())
    if os.name == "nt":
        return None  # a private node is Unix's; on Windows it is WSL, Docker or a class server
    for folder in KNOWN_FOLDERS:
        if (Path(folder) / "rabbitmq-server").exists():
            return Binaries(Path(folder))
    on_path = shutil.which("rabbitmq-server")
    return Binaries(Path(on_path).parent) if on_path else None
