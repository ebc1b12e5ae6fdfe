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
        prefix = [] if self.root == Path("/") else ["chroot", str(self.root)]
        return [*prefix, str(self.folder / program), *arguments]

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

    def epmd(self) -> Path | None:
        """Erlang's port mapper, as seen from inside; None where it can't be found."""
        for pattern in ("usr/lib/erlang/erts-*/bin/epmd", "usr/lib64/erlang/erts-*/bin/epmd"):
            for found in sorted(self.root.glob(pattern), reverse=True):
                return Path(self.inside(found))
        if self.root != Path("/"):
            return None
        beside_erl = Path(shutil.which("erl") or "/nowhere").resolve().parent.parent
        for found in sorted(beside_erl.glob("**/erts-*/bin/epmd"), reverse=True):
            return found
        on_path = shutil.which("epmd")
        return Path(on_path) if on_path else None


def installed() -> Binaries | None:
    """The RabbitMQ installed on this machine; None when there is none.

    The environment's `LABS_RABBITMQ` names the folder of its programs where it
    is not one of the usual ones, or where another one is meant.
    """
    if named := os.environ.get("LABS_RABBITMQ"):
        return Binaries(Path(named))
    for folder in KNOWN_FOLDERS:
        if (Path(folder) / "rabbitmq-server").exists():
            return Binaries(Path(folder))
    on_path = shutil.which("rabbitmq-server")
    return Binaries(Path(on_path).parent) if on_path else None
