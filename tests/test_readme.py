"""The README keeps its word: its commands run, what it names is there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest

import qprocessor
from labs.broker.address import Address
from labs.cli import COMMANDS, labs
from labs.job_queue.configuration import Settings as JobSettings
from labs.request_queue.configuration import DriverSettings
from labs.settings import Section, table_of
from labs.waiting import wait_until
from tests.conftest import missing
from tests.programs.collection import samples

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(heading: str) -> str:
    """What the README has a reader type below a heading, block after block, without `text` blocks.

    What `make lab` does is the subject of test_setup.py.
    """
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL))


def test_the_commands_in_it_start_a_broker_and_two_workers_that_do_all_messages(
    labs_home: Path,
) -> None:
    if shutil.which("tmux") is None:
        missing("no tmux is installed")
    # A socket's path must be short, so it is not in the test's own folder.
    with tempfile.TemporaryDirectory() as sockets:
        environment = {
            **os.environ,
            "LABS_HOME": str(labs_home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TMUX_TMPDIR": sockets,
        }
        environment.pop("TMUX", None)
        # The worker looks for the broker beside itself, where this test leaves nothing.
        first, rest = commands("In the terminal").split("labs status", 1)
        work, last = rest.rsplit("labs down", 1)

        def typed(script: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["bash", "-e", "-c", script],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        def seen() -> str:
            panes = "for pane in 0 1; do tmux capture-pane -p -t labs.$pane; done"
            return typed(panes).stdout

        try:
            up = typed(first)
            assert up.returncode == 0, up.stderr
            ran = typed(f'eval "$(labs env)"\nlabs status{work}')
            assert ran.returncode == 0, ran.stdout + ran.stderr
            wait_until(
                lambda: all(f"Done {body}" in seen() for body in ("1", "22", "333", "4444")),
                60,
                what="both workers to do all messages",
            )
            assert {"alice", "bob"} <= set(re.findall(r"alice|bob", seen()))
        finally:
            typed("tmux kill-server")
            down = typed(f"labs down{last}")
        assert down.returncode == 0, down.stderr


def test_the_commands_in_it_begin_an_exercise_and_judge_the_labs_own_worker(
    labs_home: Path, tmp_path: Path
) -> None:
    """Typed in a folder beside the checkout's worker, where `labs start` may leave its files."""
    (tmp_path / "qprocessor.py").symlink_to(ROOT / "qprocessor.py")
    up, rest = commands("Your own programs, judged").split("\n", 1)

    def typed(script: str) -> subprocess.CompletedProcess[str]:
        venv = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "LABS_HOME": str(labs_home), "PATH": venv},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    try:
        ran = typed(f"{up}\n{rest}")
    finally:
        down = typed("labs down --wipe")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (tmp_path / "my-programs" / "acknowledgements.py").is_file()
    assert "1 of 16 passed" in ran.stdout
    assert down.returncode == 0, down.stderr


def test_the_job_queue_in_it_does_its_job(vhost: Address, tmp_path: Path) -> None:
    section = README.split("\n## Four systems, to read and to reuse\n", 1)[1]
    example, *_ = re.findall(r"^```python\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    url = "amqp://guest:guest@localhost:5672/%2F"
    assert url in example
    program = tmp_path / "example.py"
    program.write_text(example.replace(url, vhost.url), encoding="utf-8")

    ran = subprocess.Popen(
        [sys.executable, "-u", str(program)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert ran.stdout is not None
        assert ran.stdout.readline() == "hello Ada\n"
        ran.send_signal(signal.SIGINT)
        assert ran.wait(30) == 0
    finally:
        ran.kill()
        ran.communicate()


@pytest.mark.parametrize(
    ("number", "printed"),
    [(1, "'WAITING': 1, 'PROCESSING': 0, 'SUCCESS': 1"), (2, "queued")],
    ids=["task queue", "queue service"],
)
def test_the_queue_in_it_claims_and_settles(number: int, printed: str, tmp_path: Path) -> None:
    section = README.split("\n## Four systems, to read and to reuse\n", 1)[1]
    example = re.findall(r"^```python\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)[number]
    ran = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert printed in ran.stdout


def test_the_commands_in_it_queue_a_job(labs_home: Path) -> None:
    ran = subprocess.run(
        ["bash", "-e", "-c", commands("Four systems, to read and to reuse")],
        cwd=ROOT,
        env={
            **os.environ,
            "LABS_HOME": str(labs_home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("settings", [JobSettings, DriverSettings])
def test_the_tables_of_settings_in_it_are_those_of_the_code(settings: type[Section]) -> None:
    assert table_of(settings) in README, f"the README's table should be:\n{table_of(settings)}"


def flags_of(command: click.Command) -> set[str]:
    """Of a command, and of those in it."""
    context = click.Context(command)
    flags = {
        flag for one in command.get_params(context) for flag in (*one.opts, *one.secondary_opts)
    }
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            flags |= flags_of(inner)
    return flags


def test_every_flag_in_it_is_one_of_qprocessors_or_labs() -> None:
    ours = README.replace("wsl --install", "").replace("docker compose up --build", "")
    ours = re.sub(r"docker compose --profile", "", ours)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert len(named) > 15
    assert named - flags_of(labs) - flags_of(qprocessor.main) == set()


def test_every_labs_command_is_in_it_and_it_names_no_other() -> None:
    named = set(re.findall(r"`labs ([a-z-]+)", README))
    assert named <= set(COMMANDS)
    assert set(COMMANDS) - named <= {"lab", "completion"}


def test_every_notebook_is_in_its_table_in_order() -> None:
    listed = re.findall(r"^\| `(\d\d-[a-z-]+)` \|", README, flags=re.MULTILINE)
    assert listed == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"[`(]((?:labs|tests|notebooks)/[\w./-]+)[`)]", README)))
)
def test_every_file_that_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_make_target_that_it_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    prose = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", prose)
    named = {name for span in spans for name in re.findall(r"(?:^|\s)make\s+([a-z-]+)", span)}
    assert len(named) > 5
    assert named <= targets


def test_it_says_how_many_programs_judge_the_judge() -> None:
    kept = samples()
    right = sum(sample.is_right for sample in kept)
    named = sum(sample.misconception is not None for sample in kept)
    words = " ".join(README.split())
    assert f"keeps {right} right programs" in words
    assert f"and {len(kept) - right} wrong ones, {named} of which" in words
