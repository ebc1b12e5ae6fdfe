"""`labs driver`: serve, work, request, responses, status and settings, as typed at a terminal."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from labs.cli import labs
from labs.request_queue.local import LocalKafka

BODY = {
    "lifecycleName": "Start",
    "driverFiles": "",
    "systemProperties": {},
    "requestProperties": {"seconds": 0.1},
    "deploymentLocation": {"name": "here"},
}
HANDLER = """
seen = {}
def handle_request(request):
    seen[request["request_id"]] = seen.get(request["request_id"], 0) + 1
    return seen[request["request_id"]] == 2
"""


class Terminal:
    """A driver of the test's own, on a Kafka that is there."""

    def __init__(self, kafka: LocalKafka, folder: Path) -> None:
        self.folder = folder
        self.which = ["--kafka", kafka.bootstrap, "--name", f"test-{secrets.token_hex(4)}"]

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(labs, ["driver", *words, *self.which])

    @contextmanager
    def runs(
        self, *words: str, first: str, direct: bool = False
    ) -> Iterator[subprocess.Popen[str]]:
        """The command in the background, once its first line begins as it should."""
        started = subprocess.Popen(
            [sys.executable, "-m", "labs", "driver", *words, *([] if direct else self.which)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        try:
            assert started.stderr is not None
            line = started.stderr.readline()
            assert line.startswith(first), line + started.stderr.read()
            self.url = line.split("/api/")[0].removeprefix("Serving ")
            yield started
        finally:
            started.kill()
            started.communicate()


def end(started: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[str, str]:
    started.send_signal(number)
    out, errors = started.communicate(timeout=40)
    assert started.returncode == 0, errors
    return out, errors


@pytest.fixture
def terminal(
    local_kafka: LocalKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labs_home: Path
) -> Terminal:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    assert not labs_home.exists(), "no Kafka of the lab's own"
    return Terminal(local_kafka, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_api_and_a_replica_in_one_answer_and_do_and_stop(
    terminal: Terminal, number: int
) -> None:
    with terminal.runs("serve", "--work", "--port", "0", first="Serving http://") as serving:
        accepted = httpx.post(f"{terminal.url}/api/driver/lifecycle/execute", json=BODY, timeout=30)
        assert accepted.status_code == 202
        said = json.loads(_own(terminal, accepted.json()["request_id"]))
        assert said["status"] == "COMPLETE"
        health = httpx.get(f"{terminal.url}/management/health", timeout=30)
        assert health.json()["vitals"] == {
            "app": {"status": "OK"},
            "broker": {"status": "OK"},
            "replica": {"status": "OK"},
        }
        out, _ = end(serving, number)
    assert [line.split()[1] for line in out.splitlines()] == ["taken", "done", "committed"]


def _own(terminal: Terminal, request_id: str) -> str:
    """The response to this request, out of all that stand in the topic."""
    for count in range(1, 100):
        lines = terminal.types("responses", "--count", str(count)).output.splitlines()
        if request_id in lines[-1]:
            return lines[-1]
    raise AssertionError("no response")


@pytest.mark.slow
def test_a_replica_works_with_a_file_of_ones_own_and_tells_each_step_as_json(
    terminal: Terminal,
) -> None:
    (terminal.folder / "mine.py").write_text(HANDLER)
    queued = terminal.types("request", "Start", "--id", "server-7", "--property", "seconds=5")
    assert queued.exit_code == 0, queued.output
    assert queued.output.startswith("server-7  partition ")
    with terminal.runs("work", "mine.py", "--json", "--replica", "one", first="Working on") as work:
        assert work.stdout is not None
        events = [json.loads(work.stdout.readline()) for _ in range(6)]
        end(work)
    assert [event["what"] for event in events] == [
        "taken",
        "put back",
        "committed",
        "taken",
        "done",
        "committed",
    ]
    assert {event["replica"] for event in events} == {"one"}
    status = terminal.types("status", "--json")
    assert json.loads(status.output)["waiting"] == 0
    assert "0 waiting" in terminal.types("status").output


@pytest.mark.slow
def test_without_the_queue_the_caller_waits_and_no_kafka_is_needed(terminal: Terminal) -> None:
    with terminal.runs(
        "serve", "--direct", "--port", "0", first="Serving http://", direct=True
    ) as serving:
        accepted = httpx.post(f"{terminal.url}/api/driver/lifecycle/execute", json=BODY, timeout=30)
        assert accepted.status_code == 202
        end(serving)


def test_what_waits_is_shown_by_partition(terminal: Terminal) -> None:
    for _ in range(2):
        assert terminal.types("request", "Start", "--id", "a").exit_code == 0
    assert "2 waiting (committed 0, end 2)" in terminal.types("status").output


def test_no_kafka_is_said_in_a_sentence_with_what_to_do(labs_home: Path) -> None:
    for words in (["work"], ["serve"], ["request", "Start"], ["status"], ["responses"]):
        result = CliRunner().invoke(labs, ["driver", *words])
        assert result.exit_code == 3
        assert "No Kafka of this lab is running" in result.output
        assert "labs kafka up" in result.output
    assert not labs_home.exists()


def test_a_kafka_that_does_not_answer_is_said_in_a_sentence(labs_home: Path) -> None:
    del labs_home
    result = CliRunner().invoke(labs, ["driver", "status", "--kafka", "127.0.0.1:1"])
    assert result.exit_code == 4
    assert "No Kafka answers at 127.0.0.1:1" in result.output


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "There is no file"),
        ("def other(): ...", "has no function handle_request"),
        ("1/0", "ZeroDivisionError"),
        ("def", "is no Python: line 1"),
    ],
)
def test_a_file_that_has_no_handler_is_refused_with_a_sentence(
    terminal: Terminal, text: str | None, sentence: str
) -> None:
    file = terminal.folder / "mine.py"
    if text is not None:
        file.write_text(text)
    result = terminal.types("work", str(file))
    assert result.exit_code == 2
    assert sentence in result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["request", "Start", "--property", "seconds"], "is no KEY=VALUE"),
        (["request", "Start", "--id", ""], "must have a request_id"),
        (["serve", "--direct", "--work"], "--work needs the queue"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(
    terminal: Terminal, words: list[str], sentence: str
) -> None:
    result = terminal.types(*words)
    assert result.exit_code == 2
    assert sentence in result.output


def test_an_unknown_setting_in_a_file_is_refused_by_name(terminal: Terminal) -> None:
    file = terminal.folder / "settings.yml"
    file.write_text("resource_driver: {lifecycle_request_queue: {enable: true}}")
    result = terminal.types("status", "--settings", str(file))
    assert result.exit_code == 2
    assert "lifecycle_request_queue.enable " in result.output


def test_the_table_of_settings_is_printed() -> None:
    result = CliRunner().invoke(labs, ["driver", "settings"])
    assert "`resource_driver.lifecycle_request_queue.enabled` | `false`" in result.output


@pytest.mark.parametrize(
    "command", ["", "serve", "work", "request", "responses", "status", "settings"]
)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(labs, ["driver", *command.split(), "--help"])
    assert result.exit_code == 0
