"""Make `.venv`: the one file that runs before anything is installed.

`python3 labs/bootstrap.py requirements.txt` makes a virtual environment beside
this package and installs exactly what the lock file says, each file checked
against its hash. A second run changes nothing and takes no time: a stamp in
`.venv` says what is installed there.

The Python that starts it may be an old one, so until its version is known this
file keeps to what Python 3.6 can read, and to the standard library.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def main() -> None:
    """Bring `.venv` to what the lock file named on the command line says, or say why not."""
    if len(sys.argv) != 2:
        sys.exit("usage: python3 labs/bootstrap.py requirements.txt")
    if sys.version_info < OLDEST:
        start_again_with_a_newer_python()
    lock = ROOT / sys.argv[1]
    wanted = fingerprint(lock)
    if any(is_installed(stamp, wanted) for stamp in VENV.glob("installed-*")):
        return
    make_venv()
    count = sum(1 for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line)
    print(f"Installing {count} pinned packages into .venv: once only, a minute or two.")
    pip("install", "--require-hashes", "--requirement", lock.name, steps=count)
    # What this checkout needs to install itself came with the lock file: no network from here on.
    pip("install", "--no-index", "--no-deps", "--no-build-isolation", "--editable", ".")
    record(lock)


def start_again_with_a_newer_python() -> None:
    """Replace this process by a Python that is new enough, or exit with a sentence."""
    for minor in range(20, OLDEST[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        # A version manager leaves stand-ins on the PATH that run nothing: try it first.
        if newer and subprocess.run([newer, "-c", ""], capture_output=True).returncode == 0:
            os.execv(newer, [newer, *sys.argv])  # noqa: S606 - the same program, no shell wanted
    sys.exit(
        f"Queue Labs needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]},\n"
        "and no newer one was found on the PATH.\n"
        "Install one (Debian, Ubuntu: apt-get install python3 python3-venv; Fedora: dnf install\n"
        "python3.12; macOS: brew install python@3.12) and run the same command again."
    )


def fingerprint(lock: Path) -> str:
    """What an installation depends on: the lock, the Python, the place (a venv can't be moved)."""
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode())
    return f"{digest.hexdigest()} {VENV}"


def is_installed(stamp: Path, wanted: str) -> bool:
    """Whether `.venv` holds what is wanted and its interpreter is still there."""
    return VENV_PYTHON.exists() and wanted in stamp.read_text(encoding="utf-8").splitlines()


def make_venv() -> None:
    """Make an empty `.venv`; one that works is kept, so that an interrupted run goes on."""
    if VENV_PYTHON.exists() and works():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(
            f"The virtual environment .venv can't be made with {sys.executable}:\n"
            f"{(made.stdout + made.stderr).strip()}\n"
            "On Debian and Ubuntu: apt-get install python3-venv. If the disk is full or this\n"
            "folder is somebody else's, mend that; then run the same command again."
        )


def works() -> bool:
    """Whether `.venv` is of this Python and was made at this place."""
    check = "import sys, pip; print(sys.version); print(sys.prefix)"
    seen = subprocess.run(
        [str(VENV_PYTHON), "-c", check], capture_output=True, text=True, check=False
    )
    return seen.returncode == 0 and seen.stdout == f"{sys.version}\n{VENV}\n"


def pip(*arguments: str, steps: int = 0) -> None:
    """Run pip in `.venv` and count its steps on the screen; exit with a sentence if it fails."""
    command = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments]
    said = []
    with subprocess.Popen(command, cwd=str(ROOT), stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout or ():
            said.append(line)
            done = sum(one.startswith(("Collecting ", "Requirement already")) for one in said)
            if steps and sys.stdout.isatty():
                print(f"\r  {min(done, steps)} of {steps} ", end="", flush=True)
    if steps and sys.stdout.isatty():
        print()
    if running.returncode != 0:
        sys.exit(
            f"{''.join(said[-5:])}\n"
            "pip could not install the pinned packages (its own words are above).\n"
            "No network? This first set-up needs PyPI or a mirror that pip knows (PIP_INDEX_URL).\n"
            "What was done is kept: run the same command again to go on."
        )


def record(lock: Path) -> None:
    """Leave the stamp. The test lock holds the lab's own packages too, at the same versions."""
    locks = [lock] if lock.name == "requirements.txt" else [lock, ROOT / "requirements.txt"]
    stamp = VENV / ("installed-" + lock.name)
    stamp.write_text("".join(fingerprint(one) + "\n" for one in locks), encoding="utf-8")


if __name__ == "__main__":
    main()
