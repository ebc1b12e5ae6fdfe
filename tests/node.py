"""Node.js for tests: a lock file's packages, installed once into a cache on this machine.

`node_modules(folder)` installs what the folder's package-lock.json names (by content:
its hashes are checked) and returns the `node_modules` folder. A program finds the
packages by the environment variable NODE_PATH. Without Node.js, or where nothing can
be fetched, the test is skipped at home and fails in CI.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.conftest import missing

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "queue-labs"
TIMEOUT_S = 180


def node() -> str:
    """Where the program `node` is."""
    found = shutil.which("node")
    if found is None:
        missing("no Node.js is installed")
    return found


def node_modules(folder: Path) -> Path:
    """The packages of the folder's package-lock.json, installed."""
    node()
    lock = folder / "package-lock.json"
    home = CACHE / f"npm-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not home.exists():
        _install(folder, home)
    return home / "node_modules"


def _install(folder: Path, home: Path) -> None:
    """Install beside, then rename: nobody finds half an installation."""
    npm = shutil.which("npm")
    if npm is None:
        missing("no npm is installed")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="npm-") as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, scratch)
        command = [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            subprocess.run(command, cwd=scratch, check=True, capture_output=True, timeout=TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = (error.stderr or b"").decode("utf-8", "replace").strip()
            missing(f"npm could not install what {folder.name} needs: {said or error}")
        with suppress(OSError):  # another run was quicker
            Path(scratch).rename(home)
        Path(scratch).mkdir(exist_ok=True)  # the temporary folder that is to be removed
