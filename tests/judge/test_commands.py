"""`labs check`, `judge` and `watch` as people and scripts meet them, with a learner's programs."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import jsonschema
import psutil
import pytest

import labs.judge.report as reports
from labs.broker.address import Address, parse_amqp_url
from labs.broker.management import Management
from labs.judge.catalogue import SLUGS, exercise
from labs.judge.leftovers import left_by_killed_checks
from labs.waiting import wait_until

SCHEMA = json.loads((Path(reports.__file__).parent / "report.schema.json").read_text())
RIGHT = exercise("hello-consumer").solution
TIMEOUT_S = 120


class Learner:
    """Somebody who types `labs …` in a folder of their own."""

    def __init__(self, folder: Path, home: Path, broker: Address) -> None:
        self.folder = folder
        self.home = home
        self.environment = {
            **os.environ,
            "LABS_HOME": str(home),
            "LABS_NAME": "ada",
            "AMQP_URL": broker.url,
            "LABS_MANAGEMENT_URL": broker.management_url or "",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "120",
        }

    def writes(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "labs", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def types(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.types(*arguments).stdout)


@pytest.fixture
def ada(tmp_path: Path, labs_home: Path, broker: Address) -> Learner:
    folder = tmp_path / "my programs"
    folder.mkdir()
    return Learner(folder, labs_home, broker)


def test_a_right_program_passes_and_its_report_is_what_the_schema_says(ada: Learner) -> None:
    ada.writes("worker.py", RIGHT)

    done = ada.types("check", "hello-consumer", "--json", "--", "python", "worker.py")

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    assert (report["outcome"], report["hint"], report["picture"]) == ("kept", None, None)


def test_a_wrong_program_is_shown_one_messages_life_its_picture_the_belief_and_a_hint(
    ada: Learner,
) -> None:
    ada.writes("worker.py", exercise("hello-consumer").starter)

    done = ada.types("check", "hello-consumer", "--", "python", "worker.py")

    assert done.returncode == 1
    words = done.stdout
    assert words.index("Promised:") < words.index("Seen:") < words.index("Hint 1 of 4:")
    assert "A belief that leads here:" in words
    picture = ada.home / "checks" / "hello-consumer.svg"
    assert f"The picture: {picture}" in words
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_a_run_that_was_kept_is_judged_again_to_the_same_verdicts_without_a_broker(
    ada: Learner,
) -> None:
    ada.writes("worker.py", exercise("hello-consumer").starter)
    kept = ("--json", "--journal", "run.jsonl")
    first = ada.json("check", "hello-consumer", *kept, "--", "python", "worker.py")
    ada.environment["AMQP_URL"] = "amqp://nobody:nothing@127.0.0.1:1/nowhere"

    again = ada.types("judge", "run.jsonl", "--json")

    second = json.loads(again.stdout)
    assert again.returncode == first["exit_code"] == 1
    assert second["verdicts"] == first["verdicts"]
    assert second["misconception"] == first["misconception"]


def test_a_seed_repeats_the_messages_and_their_order(ada: Learner) -> None:
    ada.writes("worker.py", RIGHT)

    def published(name: str, *options: str) -> list[str]:
        command = ("--journal", name, *options, "--", "python", "worker.py")
        ada.types("check", "hello-consumer", *command)
        events = map(json.loads, (ada.folder / name).read_text(encoding="utf-8").splitlines())
        return [e["data"]["body"] for e in events if e["kind"] == "published"]

    first = published("1.jsonl", "--seed", "ada-1")
    assert len(first) > 3
    assert published("2.jsonl", "--seed", "ada-1") == first
    assert not set(published("3.jsonl")) & set(first)


def test_all_judges_each_exercise_that_has_a_program_here(ada: Learner) -> None:
    ada.writes(exercise("hello-consumer").learners_file, RIGHT)
    ada.writes(exercise("hello-producer").learners_file, exercise("hello-producer").starter)

    done = ada.types("check", "--all", "--json")

    told = json.loads(done.stdout)
    outcomes = {report["exercise"]: report["outcome"] for report in told["reports"]}
    assert outcomes == {"hello-producer": "broken", "hello-consumer": "kept"}
    assert (told["outcome"], done.returncode) == ("broken", 1)
    assert f"1 of {len(SLUGS)} passed" in ada.types("progress").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check"], "Which exercise?"),
        (["check", "hello-consumer"], "The command that starts it is missing."),
        (["check", "hello-consume", "--", "true"], "Did you mean hello-consumer"),
        (["check", "hello-consumer", "--", "./no-such-program"], "no-such-program"),
        (["check", "hello-consumer", "--sead", "3", "--", "true"], "--sead is no option"),
        (["check", "--all", "hello-consumer"], "--all takes no exercise"),
        (["check", "--all"], "There is no exercise's program"),
        (["check", "--solutions"], "--solutions goes with --all"),
        (["judge", "no-such-file"], "no-such-file cannot be read"),
        (["watch", "hello-consumer"], "The command that starts it is missing."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_person_mistypes_is_said_in_a_sentence(
    ada: Learner, arguments: list[str], words: str
) -> None:
    done = ada.types(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_recorded_conversation_is_no_run_to_judge(ada: Learner) -> None:
    ada.writes("talk.jsonl", '{"n":0,"at_s":0.1,"kind":"connected","connection":1}\n')

    done = ada.types("judge", "talk.jsonl")

    assert done.returncode == 2
    assert "labs draw talk.jsonl" in done.stderr


SILENT = """
import os, pathlib, time
pathlib.Path("seen.part").write_text(f"{os.getpid()} {os.environ['AMQP_URL']}")
os.rename("seen.part", "seen")
time.sleep(600)
"""


@pytest.mark.parametrize("all_", [False, True], ids=["one", "all"])
def test_ctrl_c_leaves_no_process_no_vhost_and_no_note(
    ada: Learner, broker: Address, monkeypatch: pytest.MonkeyPatch, all_: bool
) -> None:
    monkeypatch.setenv("LABS_HOME", str(ada.home))
    name = exercise("hello-consumer").learners_file
    ada.writes(name, SILENT)
    one = ("hello-consumer", "--", "python", name)
    check = ada.start("check", *(["--all"] if all_ else one))
    wait_until((ada.folder / "seen").exists, 60)
    pid, url = (ada.folder / "seen").read_text().split()
    vhost = parse_amqp_url(url).vhost
    assert vhost in vhosts(broker)

    check.send_signal(signal.SIGINT)
    _, err = check.communicate(timeout=20)  # far less than the program is given to connect

    assert (check.returncode, "Stopped." in err) == (130, True)
    assert not psutil.pid_exists(int(pid))
    assert vhost not in vhosts(broker)
    assert not left_by_killed_checks()


def vhosts(broker: Address) -> set[str]:
    with Management(broker) as management:
        return {vhost["name"] for vhost in management.vhosts()}


class Watcher:
    """`labs watch`, and what it printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._read: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(process.stdout,), daemon=True).start()

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            self._read.put(line)

    def saw(self, words: str, times: int = 1) -> bool:
        while not self._read.empty():
            self.lines.append(self._read.get())
        return sum(words in line for line in self.lines) >= times


@pytest.fixture
def watching(ada: Learner) -> Iterator[Watcher]:
    ada.writes("worker.py", exercise("hello-consumer").starter)
    watcher = Watcher(ada.start("watch", "hello-consumer", "--", "python", "worker.py"))
    yield watcher
    watcher.process.kill()
    watcher.process.communicate()


def test_watch_judges_again_when_the_program_is_saved_and_ends_with_ctrl_c(
    ada: Learner, watching: Watcher
) -> None:
    wait_until(lambda: watching.saw("Waiting for a change"), TIMEOUT_S)
    assert watching.saw("hello-consumer: ")
    assert not watching.saw("All 4 promises were kept.")

    ada.writes("worker.py", RIGHT)

    wait_until(lambda: watching.saw("Waiting for a change", times=2), TIMEOUT_S)
    assert watching.saw("All 4 promises were kept.")
    watching.process.send_signal(signal.SIGINT)
    assert watching.process.wait(30) == 130
