"""The worker that runs scripts: the verdict, the folder, the time limit, and who outlives whom."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import psutil
import pytest
from pydantic import ValidationError

from labs.errors import BadInput
from labs.task_queue.errors import BadTask
from labs.task_queue.memory import MemoryQueue
from labs.task_queue.stages import Stage
from labs.task_queue.work_queue import WorkQueue
from labs.task_queue.workers.base import JobRefused, WorkerUnreachable
from labs.task_queue.workers.process import ProcessQueueWorker, ProcessWorker
from labs.waiting import wait_until

SCRIPTS = {
    "good.py": "print('all is well')",
    "complains.py": "import sys; print('a warning, no failure', file=sys.stderr)",
    "three.py": "import sys; sys.exit(3)",
    "broken.py": "print('never closed'",
    "says.py": "import sys; print(*sys.argv[1:], sep='|')",
    "task.py": "import os; print(os.environ['TASK_ID'], os.getcwd())",
    "waits.py": """
        import pathlib, sys, time
        pathlib.Path(sys.argv[1] + ".began").touch()
        while not pathlib.Path(sys.argv[1]).exists():
            time.sleep(0.01)
        sys.exit(int(sys.argv[2]))
    """,
    "tree.py": """
        import pathlib, signal, subprocess, sys, time
        if "stubborn" in sys.argv:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path(sys.argv[1]).write_text(str(child.pid))
        time.sleep(float(sys.argv[2]))
    """,
    "chatty.py": """
        for n in range(40_000):
            print("line", n)
    """,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    folder.mkdir()
    for name, text in SCRIPTS.items():
        (folder / name).write_text(dedent(text))
    return folder


@pytest.fixture
def make(folder: Path) -> Iterator[Callable[..., ProcessWorker]]:
    """Make workers on the folder; their jobs are ended with the test."""
    made: list[ProcessWorker] = []

    def one(**settings: object) -> ProcessWorker:
        made.append(ProcessWorker(folder, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for worker in made:
        for id_ in worker.poll_all_status():
            worker.delete_job(id_)


@pytest.fixture
def worker(make: Callable[..., ProcessWorker]) -> ProcessWorker:
    return make()


def ended(worker: ProcessWorker) -> dict[str, Stage]:
    """How the jobs stand when none runs any more."""
    wait_until(lambda: Stage.PROCESSING not in worker.poll_all_status().values(), 60)
    return worker.poll_all_status()


def run(worker: ProcessWorker, file_name: str, *args: str) -> Stage:
    worker.send_job(file_name, {"file_name": file_name, "args": [*args]})
    return ended(worker)[file_name]


def pid_in(file: Path) -> int:
    wait_until(lambda: file.exists() and file.read_text(), 60)
    return int(file.read_text())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- The verdict ------------------------------------------------------------------------------


def test_a_new_worker_has_no_jobs(worker: ProcessWorker) -> None:
    assert worker.poll_all_status() == {}


def test_a_job_is_processed_until_it_ends(worker: ProcessWorker, tmp_path: Path) -> None:
    go = tmp_path / "go"
    worker.send_job("job", {"file_name": "waits.py", "args": [str(go), "0"]})
    assert worker.poll_all_status() == {"job": Stage.PROCESSING}
    go.touch()
    assert ended(worker) == {"job": Stage.SUCCESS}


def test_the_exit_code_alone_is_the_verdict(worker: ProcessWorker) -> None:
    for name in ("good", "complains", "three", "broken"):
        worker.send_job(name, {"file_name": f"{name}.py"})
    assert ended(worker) == {
        "good": Stage.SUCCESS,
        "complains": Stage.SUCCESS,
        "three": Stage.FAIL,
        "broken": Stage.FAIL,
    }
    assert worker.explain("complains").result == {"exit_code": 0, "output": "a warning, no failure"}
    assert worker.explain("three").reason == "Exit code 3. It wrote nothing."
    assert "SyntaxError" in worker.explain("broken").reason


def test_ten_jobs_at_once_of_which_four_fail_are_counted_right(worker: ProcessWorker) -> None:
    queue = MemoryQueue()
    queue.put(
        {f"job {n}": {"file_name": "three.py" if n in (1, 2, 5, 8) else "good.py"}
         for n in range(10)}
    )  # fmt: skip
    work = WorkQueue(queue, worker)
    assert len(work.push_next_jobs(10)) == 10
    ended(worker)
    work.update_job_status()
    assert queue.sizes() == {"WAITING": 0, "PROCESSING": 0, "SUCCESS": 6, "FAIL": 4}
    assert queue.lookup_task("job 3").result == {"exit_code": 0, "output": "all is well"}
    assert queue.lookup_task("job 5").reason.startswith("Exit code 3.")


def test_an_id_can_be_run_again_once_it_is_deleted(worker: ProcessWorker) -> None:
    assert run(worker, "good.py") is Stage.SUCCESS
    with pytest.raises(JobRefused, match="already"):
        worker.send_job("good.py", {"file_name": "good.py"})
    worker.delete_job("good.py")
    assert worker.poll_all_status() == {}
    worker.delete_job("good.py")
    assert run(worker, "good.py") is Stage.SUCCESS


def test_arguments_arrive_as_they_are(worker: ProcessWorker) -> None:
    run(worker, "says.py", "two words", "$HOME; rm *", "ünï", "")
    assert worker.explain("says.py").result["output"] == "two words|$HOME; rm *|ünï|"


def test_a_job_knows_its_id_and_runs_in_the_folder(worker: ProcessWorker, folder: Path) -> None:
    worker.send_job("a/b", {"file_name": "task.py", "args": None, "resources": {"gpus": 1}})
    ended(worker)
    assert worker.explain("a/b").result["output"] == f"a/b {folder}"


def test_ids_may_be_any_text(worker: ProcessWorker) -> None:
    ids = ["../up", "", "nul\0", "'\"\n", "😀" * 512, "a" * 512]
    for id_ in ids:
        worker.send_job(id_, {"file_name": "good.py"})
    assert ended(worker) == dict.fromkeys(ids, Stage.SUCCESS)


def test_the_known_name_is_the_same_worker() -> None:
    assert ProcessQueueWorker is ProcessWorker


# --- What may be run --------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"args": []}, {"file_name": 7}, {"command": []}, None, "x"])
def test_a_body_that_says_not_what_to_run_is_refused(worker: ProcessWorker, body: object) -> None:
    with pytest.raises(ValidationError):
        worker.send_job("job", body)
    assert worker.poll_all_status() == {}


def test_nothing_outside_of_the_folder_is_run(worker: ProcessWorker, folder: Path) -> None:
    outside = folder.parent / "outside.py"
    outside.write_text("print('I should not run')")
    (folder / "link.py").symlink_to(outside)
    (folder / "up").symlink_to(folder.parent)
    for name in ("../outside.py", str(outside), "link.py", "up/outside.py", "a/../../outside.py"):
        for body in ({"file_name": name}, {"command": [name]}):
            with pytest.raises(JobRefused, match="outside of the folder"):
                worker.send_job("job", body)


def test_a_link_within_the_folder_may_be_followed(worker: ProcessWorker, folder: Path) -> None:
    (folder / "link.py").symlink_to(folder / "good.py")
    assert run(worker, "link.py") is Stage.SUCCESS


@pytest.mark.parametrize(
    "words",
    [["none.py"], ["."], [""], ["x" * 5000], ["a\0b"], ["good.py", "\ud800"], ["loop.py"]],
)
def test_what_is_no_script_is_refused(
    worker: ProcessWorker, folder: Path, words: list[str]
) -> None:
    (folder / "loop.py").symlink_to(folder / "loop.py")
    with pytest.raises(JobRefused):
        worker.send_job("job", {"file_name": words[0], "args": words[1:]})


def test_what_other_jobs_have_written_is_no_script(worker: ProcessWorker) -> None:
    run(worker, "good.py")
    output = worker.output("good.py")
    assert output
    output.chmod(0o755)
    with pytest.raises(JobRefused):
        worker.send_job("job", {"file_name": str(output)})


def test_a_command_may_be_any_program_of_the_folder_and_those_that_are_allowed(
    make: Callable[..., ProcessWorker], folder: Path
) -> None:
    tool = folder / "tool"
    tool.write_text("#!/bin/sh\necho $1; exit 5\n")
    worker = make(programs=["echo"])
    with pytest.raises(JobRefused, match="no program"):
        worker.send_job("tool", {"command": ["tool", "x"]})
    tool.chmod(0o755)
    worker.send_job("tool", {"command": ["tool", "x"]})
    worker.send_job("echo", {"command": ["echo", "hello"]})
    assert ended(worker) == {"tool": Stage.FAIL, "echo": Stage.SUCCESS}
    assert worker.explain("tool").reason == "Exit code 5. Its last words:\nx"
    with pytest.raises(JobRefused):
        worker.send_job("ls", {"command": ["ls"]})


def test_a_program_that_can_not_be_started_fails(worker: ProcessWorker, folder: Path) -> None:
    (folder / "tool").write_text("#!/no/such/interpreter\n")
    (folder / "tool").chmod(0o755)
    assert run(worker, "tool") is Stage.FAIL
    assert "could not be started" in worker.explain("tool").reason


# --- Time, output, the end --------------------------------------------------------------------


def test_a_job_that_takes_too_long_is_ended_with_all_its_processes(
    make: Callable[..., ProcessWorker], tmp_path: Path
) -> None:
    worker, file = make(timeout_s=1), tmp_path / "pid"
    assert run(worker, "tree.py", str(file), "600", "stubborn") is Stage.FAIL
    assert "It took longer than 1 s" in worker.explain("tree.py").reason
    wait_until(lambda: is_gone(pid_in(file)), 10)


def test_a_job_that_is_deleted_while_it_runs_is_ended_with_all_its_processes(
    worker: ProcessWorker, tmp_path: Path
) -> None:
    worker.send_job("tree", {"file_name": "tree.py", "args": [str(tmp_path / "pid"), "600"]})
    pid = pid_in(tmp_path / "pid")
    worker.delete_job("tree")
    assert worker.poll_all_status() == {}
    wait_until(lambda: is_gone(pid), 10)


def test_what_a_job_leaves_running_ends_with_it(worker: ProcessWorker, tmp_path: Path) -> None:
    assert run(worker, "tree.py", str(tmp_path / "pid"), "0") is Stage.SUCCESS
    wait_until(lambda: is_gone(pid_in(tmp_path / "pid")), 10)


def test_a_job_that_a_signal_ends_fails(worker: ProcessWorker, folder: Path) -> None:
    (folder / "dies.py").write_text("import os; os.kill(os.getpid(), 9)")
    assert run(worker, "dies.py") is Stage.FAIL
    assert worker.explain("dies.py").reason == "It was ended by SIGKILL. It wrote nothing."


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="this system has no such signals")
def test_a_signal_without_a_name_is_told_by_its_number(worker: ProcessWorker, folder: Path) -> None:
    (folder / "dies.py").write_text("import os; os.kill(os.getpid(), 40)")
    assert run(worker, "dies.py") is Stage.FAIL
    assert worker.explain("dies.py").reason == "It was ended by signal 40. It wrote nothing."


def test_a_time_that_no_timer_can_keep_is_refused(folder: Path) -> None:
    for timeout_s in 0, -1, float("inf"), 1e12:
        with pytest.raises(BadTask, match="timeout_s must be a number"):
            ProcessWorker(folder, timeout_s=timeout_s)


def test_the_last_of_the_output_is_kept_also_when_the_job_is_deleted(
    make: Callable[..., ProcessWorker],
) -> None:
    worker = make(output_limit=20_000)
    run(worker, "chatty.py")
    assert worker.explain("chatty.py").result["output"].endswith("line 39999")
    worker.delete_job("chatty.py")
    output = worker.output("chatty.py")
    assert output
    assert output.read_text().endswith("line 39999\n")
    kept = sum(file.stat().st_size for file in output.parent.glob("output*"))
    assert 10_000 <= kept <= 20_000
    assert worker.output("never run") is None


# --- A controller that dies -------------------------------------------------------------------


def test_the_next_worker_on_the_state_finds_the_jobs(
    make: Callable[..., ProcessWorker], tmp_path: Path
) -> None:
    first, go = make(), tmp_path / "go"
    first.send_job("runs", {"file_name": "waits.py", "args": [str(go), "3"]})
    first.send_job("ends", {"file_name": "good.py"})
    wait_until(lambda: first.poll_all_status()["ends"] is Stage.SUCCESS, 60)
    again = make()
    assert again.backend == first.backend
    assert again.poll_all_status() == {}
    again.take_up(["ends"], ["runs", "never sent"])
    assert again.poll_all_status() == {"ends": Stage.SUCCESS, "runs": Stage.PROCESSING}
    go.touch()
    assert ended(again)["runs"] is Stage.FAIL
    assert again.explain("runs").reason.startswith("Exit code 3.")


def test_another_state_is_another_backend(
    make: Callable[..., ProcessWorker], tmp_path: Path
) -> None:
    assert make().backend != make(state=tmp_path / "state").backend


def test_a_job_whose_keeper_is_killed_has_failed_and_is_ended(
    worker: ProcessWorker, tmp_path: Path
) -> None:
    worker.send_job("job", {"file_name": "tree.py", "args": [str(tmp_path / "pid"), "600"]})
    child = psutil.Process(pid_in(tmp_path / "pid"))
    job = child.parent()
    assert job
    keeper = job.parent()
    assert keeper
    keeper.kill()
    assert ended(worker) == {"job": Stage.FAIL}
    assert "nobody knows how the job has ended" in worker.explain("job").reason
    worker.delete_job("job")
    wait_until(lambda: is_gone(job.pid) and is_gone(child.pid), 10)


def test_a_job_that_never_came_to_start_is_not_known(
    make: Callable[..., ProcessWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the controller is killed before there is a keeper."""
    first = make()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/true")
        first.send_job("job", {"file_name": "good.py"})
    wait_until(lambda: not first._runs["job"].is_kept, 10)
    again = make()
    again.take_up([], ["job"])
    assert again.poll_all_status() == {}


def test_a_machine_without_a_process_to_spare_is_nobodys_fault(
    worker: ProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(WorkerUnreachable, match="No process can be started"):
            worker.send_job("job", {"file_name": "good.py"})
    assert worker.poll_all_status() == {}


def test_ctrl_c_in_the_terminal_does_not_end_the_jobs(
    worker: ProcessWorker, tmp_path: Path
) -> None:
    worker.send_job("job", {"file_name": "tree.py", "args": [str(tmp_path / "pid"), "600"]})
    job = psutil.Process(pid_in(tmp_path / "pid")).parent()
    assert job
    assert os.getpgid(job.pid) != os.getpgrp()
    assert os.getpgid(job.ppid()) != os.getpgrp()


def test_a_folder_that_is_not_there_or_can_not_be_written_is_told(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="no folder"):
        ProcessWorker(tmp_path / "none")
    (tmp_path / "file").touch()
    worker = ProcessWorker(folder, state=tmp_path / "file")
    with pytest.raises(BadInput, match="can't be kept in mind"):
        _ = worker.backend


def test_a_signal_that_comes_early_still_ends_the_job(worker: ProcessWorker) -> None:
    worker.send_job("job", {"file_name": "tree.py", "args": ["/dev/null", "600"]})
    keeper = worker._runs["job"]._keeper
    assert keeper
    os.kill(keeper.pid, signal.SIGTERM)
    assert ended(worker) == {"job": Stage.FAIL}
