"""Stand-ins for the images that docker-compose.yml names: none can be counted on to be pulled.

RabbitMQ's is the tree that `make test-brokers` uses, which is a small Debian too; the others are
built upon such a Debian, by the Dockerfiles in `standins`. Each has what the official one has and
the compose file leans on: the user, the volume, the programs on the PATH, the variables that it
heeds. Images are kept between runs, with the trees.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from labs.broker.state import ROOT
from tests.brokers.trees import CannotFetch, Tree, cache_folder, fetch, tree_of
from tests.conftest import missing

STAND_INS = Path(__file__).parent / "standins"
DEBIAN = "queue-labs/debian-stand-in"

RABBITMQ_DEFAULTS = "loopback_users.guest = false\nlog.console = true\n"
"""What the official image has in conf.d/10-defaults.conf."""

RABBITMQ_CHANGES = (
    "USER rabbitmq",
    "ENV HOME=/var/lib/rabbitmq",
    "ENV LANG=C.UTF-8",
    "ENV PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "VOLUME /var/lib/rabbitmq",
    'CMD ["rabbitmq-server"]',
)


def docker(*words: str) -> str:
    """What docker says."""
    ran = subprocess.run(["docker", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"docker {words[0]}: {ran.stdout[-1500:]}{ran.stderr[-1500:]}"
    return ran.stdout + ran.stderr


def had(series: str) -> Tree:
    """The tree with this series of RabbitMQ, fetched if need be."""
    found = tree_of(series, cache_folder())
    try:
        fetch(found, print)
    except CannotFetch as error:
        missing(f"{error} {error.remedy}")
    return found


def rabbitmq(scratch: Path) -> str:
    """The stand-in for RabbitMQ's image."""
    tree = had("4.3")
    name = f"queue-labs/rabbitmq-stand-in:{tree.binaries.version}-management"
    if not image_exists(name):
        settings = scratch / "etc" / "rabbitmq" / "conf.d" / "10-defaults.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(RABBITMQ_DEFAULTS)
        extra = ("-C", str(scratch), "./etc/rabbitmq/conf.d")
        import_tree(tree.folder / "root", name, RABBITMQ_CHANGES, *extra)
    return name


def stand_in(name: str, scratch: Path, *files: Path) -> str:
    """The stand-in that the folder of this name makes of Debian, with these files beside it."""
    if not image_exists(DEBIAN):
        import_tree(had("4.0").folder / "root", DEBIAN, ("ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin",))
    folder = scratch / name
    shutil.copytree(STAND_INS / name, folder)
    for file in files:
        shutil.copy(file, folder)
    image = f"queue-labs/{name}-stand-in"
    built = subprocess.run(
        ["docker", "build", "--tag", image, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(folder)
    if built.returncode:
        said = (built.stdout + built.stderr)[-600:]
        missing(f"the stand-in for the image of {name} can't be built:\n{said}")
    return image


def image_exists(name: str) -> bool:
    """Whether the engine has it."""
    asked = subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False)
    return asked.returncode == 0


def import_tree(root: Path, name: str, changes: tuple[str, ...], *more: str) -> None:
    """Make an image of a folder, without its caches."""
    skip = ["--exclude=./proc/*", "--exclude=./var/cache/*", "--exclude=./usr/share/doc/*"]
    tar = subprocess.Popen(
        ["tar", "-c", *skip, "-C", str(root), ".", *more], stdout=subprocess.PIPE
    )
    options = [option for change in changes for option in ("--change", change)]
    subprocess.run(
        ["docker", "import", *options, "-", name], stdin=tar.stdout, check=True, capture_output=True
    )
    assert tar.wait() == 0
