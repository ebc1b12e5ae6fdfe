"""Other versions of RabbitMQ beside the installed one, fetched from Debian and run in a tree.

A tree is a small Debian of another release (debootstrap) with its rabbitmq-server
in it. Its programs are run through scripts of ours, in `bin`, which enter the tree
and take the node's folder along; to the rest of the kit that is a folder of
RabbitMQ's programs like any other (`LABS_RABBITMQ` names it).

Trees are kept between runs. One that is being made carries another name until it
is whole, so a run that was cut short leaves nothing that looks finished.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labs.broker.binaries import Binaries
from labs.errors import LabError

FETCH_TIMEOUT_S = 900.0

PROGRAMS = ("rabbitmq-server", "rabbitmqctl")

# A mount namespace of the program's own: what is mounted is seen by nobody else and ends with it.
RUN_INSIDE = """\
#!/bin/sh
# Runs the program of this name inside the tree, with the folders that the node uses.
set -e
tree='{tree}'
home=${{LABS_NODE:?names the node\\'s folder}}
export shared="/$(echo "$home" | cut -d/ -f2)"
exec unshare --mount --propagation private sh -ec '
  tree=$1 program=$2
  shift 2
  mount --rbind /proc "$tree/proc"
  mkdir -p "$tree$shared"
  mount --rbind "$shared" "$tree$shared"
  cd /
  exec chroot "$tree" "/usr/lib/rabbitmq/bin/$program" "$@"
' sh "$tree" "$(basename "$0")" "$@"
"""

Progress = Callable[[str], None]


class CannotFetch(LabError):
    """Raised when another version can't be had here: no root, no debootstrap, no network."""


@dataclass(frozen=True)
class Tree:
    """A Debian release's RabbitMQ: which series it should be, and where it is kept."""

    series: str
    release: str
    folder: Path

    @property
    def is_whole(self) -> bool:
        """Whether it is there, complete."""
        return (self.folder / "bin" / PROGRAMS[0]).exists()

    @property
    def binaries(self) -> Binaries:
        """Its RabbitMQ, to be run as any other."""
        return Binaries(self.folder / "bin")


RELEASES = {"4.0": "trixie", "4.3": "sid"}
"""Series of RabbitMQ -> the Debian release that has it."""


def cache_folder() -> Path:
    """Where trees are kept: with the user's other caches, so that all checkouts share them."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "queue-labs" / "brokers"


def tree_of(series: str, cache: Path) -> Tree:
    """The tree of a series, which need not be there yet."""
    release = RELEASES[series]
    return Tree(series, release, cache / release)


def fetch(tree: Tree, progress: Progress) -> None:
    """Make sure that the tree is there, whole.

    Raises:
        CannotFetch: it isn't, and can't be made here; with the reason.
    """
    with _locked(tree.folder):
        if not tree.is_whole:
            _check_means()
            mirror = machines_mirror()
            progress(f"fetching RabbitMQ {tree.series} from Debian {tree.release} (about a minute)")
            _make(tree, mirror)
    found = tree.binaries.version
    if not found.startswith(f"{tree.series}."):
        raise CannotFetch(
            f"Debian {tree.release} has RabbitMQ {found} now, not {tree.series}.",
            remedy=f"If it was fetched long ago, remove {tree.folder} and try again.",
        )


def machines_mirror() -> str:
    """The Debian mirror that this machine's own apt uses, for the release that it runs.

    Raises:
        CannotFetch: this is no Debian, or its apt has no such mirror.
    """
    system = platform.freedesktop_os_release()
    if system.get("ID") != "debian":
        raise CannotFetch("This is no Debian, so there is no mirror to fetch another one from.")
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for line in targets.splitlines():
        release, component, uri = line.split(" ", 2)
        if (release, component) == (system.get("VERSION_CODENAME"), "main"):
            return uri
    raise CannotFetch("This machine's apt has no mirror of its own release.")


def _check_means() -> None:
    if os.geteuid() != 0:
        raise CannotFetch("Only root can make another Debian in a folder.", remedy="Try sudo.")
    for program in ("debootstrap", "unshare", "chroot"):
        if not shutil.which(program):
            raise CannotFetch(
                f"There is no {program} here.", remedy="Run: apt-get install debootstrap"
            )


def _make(tree: Tree, mirror: str) -> None:
    part = tree.folder.with_name(f"{tree.release}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(tree.folder, ignore_errors=True)
    inside = part / "root"
    # In a mount namespace of its own: cut short, it leaves no /proc mounted below what we delete.
    apart = ["unshare", "--mount", "--propagation", "private"]
    _run([*apart, "debootstrap", "--variant=minbase", tree.release, str(inside), mirror], part)
    (inside / "etc" / "hosts").write_text("127.0.0.1 localhost\n")  # Erlang asks for localhost
    policy = inside / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")  # no service may start with its package
    policy.chmod(0o755)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "rabbitmq-server"]
    _run([*apart, "chroot", str(inside), *install], part)
    _run(["chroot", str(inside), "apt-get", "clean"], part)
    shutil.rmtree(inside / "var" / "lib" / "apt" / "lists", ignore_errors=True)
    _write_programs(part, tree.folder / "root")
    part.rename(tree.folder)


def _write_programs(part: Path, root: Path) -> None:
    (part / "bin").mkdir()
    for program in PROGRAMS:
        script = part / "bin" / program
        script.write_text(RUN_INSIDE.format(tree=root))
        script.chmod(0o755)
    (installed,) = (part / "root" / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")
    # Beside `bin`, as in any RabbitMQ: the version is read from the names in it.
    (part / "plugins").symlink_to(root / installed.relative_to(part / "root") / "plugins")


def _run(command: list[str], part: Path) -> None:
    part.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        command,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that all it started can be ended with it
    )
    try:
        output, _ = process.communicate(timeout=FETCH_TIMEOUT_S)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise CannotFetch(f"{command[0]} took more than {FETCH_TIMEOUT_S:g} s.") from None
    if process.returncode:
        said = "\n".join(output.splitlines()[-5:])
        raise CannotFetch(
            f"`{' '.join(command)}` failed. The last it said:\n{said}",
            remedy="Is the network there? Does `apt-get update` work?",
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
