"""`labs jobs` as people and scripts meet it: what it prints, its exit codes, its sentences."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from labs.broker.address import Address
from labs.broker.state import ROOT
from labs.cli import labs
from labs.job_queue.bus import Message
from labs.job_queue.rabbitmq import RabbitBus
from labs.waiting import wait_until

TIMEOUT_S = 60
HANDLERS = """
import helper

def demo(job):
    print(f"Hello {job['name']}", flush=True)  # one piece: several threads say it
    return True

def fails(job):
    raise LookupError("no " + helper.WHAT)

HANDLERS = {"DemoJob": demo, "Bad[Job]": fails}
"""


class Jobs:
    """`labs jobs`, in a folder of its own, on a broker of its own."""

    def __init__(self, address: Address, folder: Path) -> None:
        self.address = address
        self.folder = folder
        self.environment = os.environ | {
            "AMQP_URL": address.url,
            "LABS_HOME": str(folder / "labs home"),
            "COLUMNS": "200",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "labs", "jobs", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, answer: str | bytes = "", **environment: str) -> Result:
        """In this process, which is quicker; what lasts gets one of its own by `start`."""
        done = CliRunner().invoke(
            labs, ["jobs", *arguments], input=answer, env=self.environment | environment
        )
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert self.address.password not in done.output.split()
        return done

    def json(self, *arguments: str) -> Any:
        done = self(*arguments, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def jobs(vhost: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "helper.py").write_text('WHAT = "luck"\n')
    return Jobs(vhost, tmp_path)


def demo(**more: object) -> str:
    return json.dumps({"job_type": "DemoJob", "name": "Ada"} | more)


@pytest.fixture
def failed(jobs: Jobs) -> Jobs:
    """With three failed jobs, one of them of a handled type that lacks its name."""
    jobs("queue", '{"job_type": "Bad[Job]", "job_id": "one"}', '{"job_type": "Bad[Job]"}')
    jobs("queue", '{"job_type": "DemoJob", "job_id": "nameless"}')
    worker = jobs.start("work", "handlers.py", "--json", "--workers", "1")
    assert worker.stdout is not None
    for _ in range(3):
        assert json.loads(worker.stdout.readline())["outcome"] == "failed"
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=TIMEOUT_S)
    return jobs


def test_jobs_are_queued_handled_and_ctrl_c_ends_the_worker(jobs: Jobs) -> None:
    queued = jobs("queue", demo(job_id="first"), demo())
    assert queued.exit_code == 0
    assert queued.stdout.split()[0] == "first"
    assert jobs.json("status") == {"name": "labs_job_queue", "ready": 2, "slow": 0, "failed": 0}

    worker = jobs.start("work", "handlers.py", "--workers", "1")
    assert worker.stdout is not None
    lines = [worker.stdout.readline() for _ in range(4)]
    worker.send_signal(signal.SIGINT)
    _, said = worker.communicate(timeout=TIMEOUT_S)

    assert worker.returncode == 0
    assert lines[0] == "Hello Ada\n"
    assert "done     DemoJob  first  attempt 1" in lines[1]
    assert "Handling DemoJob, Bad[Job] of labs_job_queue. Ctrl-C ends it." in said
    assert "Stopped." in said
    assert "Traceback" not in said


def test_jobs_come_from_standard_input_and_a_bad_line_is_named(jobs: Jobs) -> None:
    many = jobs("queue", "-", answer="\n".join(demo(n=n) for n in range(600)))
    assert len(many.stdout.split()) == 600

    bad = jobs("queue", "-", "--json", answer=f"{demo()}\n\nno job\n")
    assert bad.exit_code == 2
    assert "The job in line 3 is not JSON" in bad.stderr
    assert jobs.json("status")["ready"] == 600
    for line in ("[" * 100_000, b"\xff"):
        odd = jobs("queue", "-", answer=line)
        assert (odd.exit_code, "The job in line 1 is not JSON" in odd.stderr) == (2, True)


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        ("[]", "A job is a mapping"),
        ("{}", "must have a job_type"),
        ('{"job_type": 5}', "job_type must be text"),
        ("{'job_type': 'x'}", "The job in argument 1 is not JSON"),
        ("NaN", "A job is a mapping"),
        ('{"job_type": "a", "x": NaN}', "not JSON"),
    ],
)
def test_what_is_no_job_is_refused_with_a_sentence_and_2(
    jobs: Jobs, job: str, sentence: str
) -> None:
    done = jobs("queue", job)

    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_a_delayed_job_is_not_ready_yet(jobs: Jobs) -> None:
    assert jobs("queue", demo(), "--delay", "60").exit_code == 0
    assert jobs.json("status")["ready"] == 0
    assert jobs("queue", demo(), "--delay", "-1").exit_code == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "There is no file handlers.py"),
        ("def demo(job:\n", "handlers.py is no Python: line 1"),
        ("\nimport nothing_like_this\n", "fails when it is read, line 2: ModuleNotFoundError"),
        ("import sys; sys.exit(3)", "fails when it is read, line 1: SystemExit: 3"),
        ("x = 1", "handlers.py has no HANDLERS"),
        ("HANDLERS = ['demo']", "is not a dict"),
        ("HANDLERS = {}", "is not a dict with handlers in it"),
        ("HANDLERS = {'a': 'b'}", "The handler for 'a' can't be called"),
        ("HANDLERS = {5: print}", "A job type must be text"),
        ("async def a(job): pass\nHANDLERS = {'a': a}", "is a coroutine"),
    ],
)
def test_a_file_without_handlers_is_refused_with_a_sentence(
    jobs: Jobs, text: str | None, sentence: str
) -> None:
    file = jobs.folder / "handlers.py"
    file.unlink()
    if text is not None:
        file.write_text(text)

    done = jobs("work", "handlers.py")

    assert done.exit_code == 2
    assert sentence in done.stderr


def test_the_failed_are_listed_and_shown(failed: Jobs) -> None:
    table = failed("failed", "list")
    assert "LookupError: no luck" in table.stdout
    assert "Bad[Job]" in table.stdout
    assert [job["job_id"] for job in failed.json("failed", "list", "--limit", "1")] == ["one"]

    shown = failed("failed", "show", "one")
    assert shown.exit_code == 0
    assert "reason    LookupError: no luck" in shown.stdout
    assert 'raise LookupError("no " + helper.WHAT)' in shown.stdout
    assert failed.json("failed", "show", "one")["job"]["job_type"] == "Bad[Job]"
    missing = failed("failed", "show", "nobody")
    assert (missing.exit_code, "no failed job 'nobody'" in missing.stderr) == (13, True)


def test_what_strangers_wrote_is_shown_and_moves_no_terminal(jobs: Jobs) -> None:
    odd = '{"job_type": "\\ud800", "job_id": "\\ud800\\u001b[2J"}'
    assert jobs.json("status")["failed"] == 0
    bus = RabbitBus(jobs.address.url)
    bus.publish("labs_job_queue.failed", [Message(odd.encode(), {"reason": "\x07"})])
    bus.close()

    (found,) = jobs.json("failed", "list")
    assert found["job"] == json.loads(odd)
    for said in (jobs("failed", "list"), jobs("failed", "show", found["job_id"])):
        assert said.exit_code == 0
        assert "\\ud800\\x1b[2J" in said.stdout
        assert not {"\x1b", "\x07"} & set(said.stdout)


def test_the_failed_are_retried_by_id_or_all(failed: Jobs) -> None:
    some = failed("failed", "retry", "one", "nobody")
    assert (some.exit_code, some.stdout) == (1, "1 queued again.\n")
    assert "no failed job 'nobody'" in some.stderr
    assert len(failed.json("failed", "retry", "--all")["job_ids"]) == 2
    assert failed.json("status") == {"name": "labs_job_queue", "ready": 3, "slow": 0, "failed": 0}


def test_the_failed_are_discarded_when_the_answer_is_yes(failed: Jobs) -> None:
    no = failed("failed", "discard", "--all", answer="n\n")
    assert (no.exit_code, failed.json("status")["failed"]) == (1, 3)
    assert "Discard 3 failed jobs of labs_job_queue for good?" in no.stderr
    assert failed("failed", "discard", "one", answer="y\n").exit_code == 0
    assert failed("failed", "discard", "--all", "--yes").stdout == "2 discarded.\n"
    assert failed("failed", "list").stdout == "No job has failed.\n"


@pytest.mark.parametrize("arguments", [("retry",), ("discard",), ("retry", "one", "--all")])
def test_which_jobs_must_be_said(jobs: Jobs, arguments: tuple[str, ...]) -> None:
    assert jobs("failed", *arguments).exit_code == 2


def test_another_queue_another_broker_or_a_file_of_settings(jobs: Jobs) -> None:
    settings = jobs.folder / "jobs.yaml"
    settings.write_text(
        f"application: {{name: My App}}\nmessaging: {{connection_address: '{jobs.address.url}'}}\n"
    )
    jobs("queue", demo(), "--name", "other", "--url", jobs.address.url)
    jobs("queue", demo(), "--settings", "jobs.yaml")

    assert jobs.json("status", "--name", "other")["ready"] == 1
    assert jobs.json("status", "--settings", "jobs.yaml")["name"] == "My_App_job_queue"
    assert jobs.json("status")["ready"] == 0
    settings.write_text("application: {nam: x}")
    slip = jobs("status", "--settings", "jobs.yaml")
    assert (slip.exit_code, "no setting application.nam" in slip.stderr) == (2, True)


def test_without_a_broker_it_says_so(jobs: Jobs) -> None:
    none = jobs("status", AMQP_URL="")
    assert (none.exit_code, "No broker of this lab is running" in none.stderr) == (3, True)
    gone = jobs("status", "--url", "amqp://guest:secret@127.0.0.1:1/%2F")
    assert gone.exit_code == 4
    assert "secret" not in gone.stdout + gone.stderr


@pytest.mark.parametrize("arguments", [(), ("work",), ("queue",), ("failed",), ("failed", "retry")])
def test_help_teaches(jobs: Jobs, arguments: tuple[str, ...]) -> None:
    said = jobs(*arguments, "--help").stdout

    assert "Usage" in said
    assert len(said.splitlines()) > 8


def test_what_a_worker_that_ends_had_not_begun_a_second_one_does(jobs: Jobs) -> None:
    workers = [jobs.start("work", "handlers.py") for _ in range(2)]
    for worker in workers:
        assert worker.stderr is not None
        assert worker.stderr.readline().startswith("Handling")
    jobs("queue", *[demo() for _ in range(10)])

    workers[0].send_signal(signal.SIGTERM)
    said = [workers[0].communicate(timeout=TIMEOUT_S)[0]]  # what it had not begun it handed back
    wait_until(lambda: jobs.json("status")["ready"] == 0, TIMEOUT_S)
    assert workers[1].stdout is not None
    while "".join(said).count("Hello Ada") < 10:
        said.append(workers[1].stdout.readline())
        assert said[-1], "it ended"
    workers[1].send_signal(signal.SIGTERM)
    workers[1].communicate(timeout=TIMEOUT_S)

    assert [worker.returncode for worker in workers] == [0, 0]
