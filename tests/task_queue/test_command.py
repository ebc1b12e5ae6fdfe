"""`labs task-queue`, as typed at a terminal: the verbs, the server, the controller, their ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from labs.cli import labs
from labs.task_queue.api import create_app
from labs.task_queue.api_server import serving
from labs.task_queue.client import ApiClient
from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.local_postgres import LocalPostgres
from labs.task_queue.sql import SqlQueue
from tests.support import wait_until

TIMEOUT_S = 30.0
TOKEN = "a-token-of-a-test"


@pytest.fixture(autouse=True)
def _home(labs_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and no settings from outside."""
    assert labs_home
    for name in list(os.environ):
        if name.upper().startswith(("TASK_QUEUE_", "SQL_QUEUE_", "S3_QUEUE_", "QUEUE_")):
            monkeypatch.delenv(name)


def types(*words: str, said: str | None = None) -> Result:
    return CliRunner().invoke(labs, ["task-queue", *words], input=said)


@contextmanager
def runs(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in the background, and the first line that it says on standard error."""
    started = subprocess.Popen(
        [sys.executable, "-m", "labs", "task-queue", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        assert started.stderr is not None
        yield started, started.stderr.readline()
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


def url_in(line: str) -> str:
    found = re.search(r"http://[\d.]+:\d+", line)
    assert found, line
    return found[0]


def test_without_any_settings_tasks_are_put_claimed_settled_and_shown() -> None:
    assert types("put", '{"a": 1, "b": {"n": 2}}', '{"e/f": []}').stdout == "3 added.\n"
    again = types("put", "--json", "-", said='{"a": 9}\n\n{"c": 3}\n')
    assert json.loads(again.stdout) == {"added": ["c"], "present": ["a"]}

    claims = [json.loads(line) for line in types("claim", "2", "--owner", "me").stdout.splitlines()]
    assert [(claim["id"], claim["body"]) for claim in claims] == [("a", 1), ("b", {"n": 2})]
    assert types("success", "a", "--owner", "me", "--result", "[1]").exit_code == 0
    assert types("fail", "b", "--owner", "me", "--reason", "no idea").exit_code == 0

    assert types("status").stdout.split() == (
        ["WAITING", "2", "PROCESSING", "0", "SUCCESS", "1", "FAIL", "1"]
    )
    assert json.loads(types("show", "a", "--json").stdout)["result"] == [1]
    assert "no idea" in types("show", "b").stdout
    assert types("list", "waiting").stdout == "e/f\nc\n"
    assert json.loads(types("peek").stdout) == {"id": "e/f", "body": []}
    assert types("requeue", "--all").stdout == "1 requeued.\n"
    assert types("requeue", "a").stderr == "a has not failed; it is as it was.\n"
    assert types("purge", "--older-than", "7d").stdout == "0 deleted.\n"
    assert types("purge", "--older-than", "0s").stdout == "1 deleted.\n"
    types("claim", "--owner", "me")
    assert types("release", "b", "--owner", "me").exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "ghost"], 15, "No task has the id 'ghost'"),
        (["success", "ghost"], 15, "No task has the id 'ghost'"),
        (["put", "[1]"], 2, "no JSON object of ids and bodies"),
        (["put", "{"], 2, "Argument 1 is not JSON"),
        (["purge", "--older-than", "long"], 2, "'long' is no age"),
        (["requeue"], 2, "Which tasks?"),
        (["status", "--queue", "localhost:1"], 18, "does not answer: connection refused."),
        (["status", "--queue", "localhost:1"], 18, "`labs task-queue server` starts one"),
        (["status", "--queue-implementation", "in-memory"], 2, "is gone when the command ends"),
        (["status", "--connection-string", "oracle://x", "--queue-name", "x"], 2, "PostgreSQL"),
        (["status", "--config", "/nowhere"], 2, "can't be read"),
        (["server", "--host", "::"], 2, "there is no token"),
        (["server", "--port", "0", "--token-file", "/nowhere"], 2, "/nowhere can't be read"),
        (["server", "--port", "0", "--token-file", sys.executable], 2, "it is no text"),
        (["put", '{"a":' + "[" * 100_000], 2, "nested too deep"),
        (["controller"], 2, "what shall run the tasks"),
        (["controller", "--queue_implementation", "in-memory"], 2, "always empty"),
        (["controller", "--worker-interface", "process"], 2, "path_to_scripts"),
        (["controller", "--resource", "gpus"], 2, "no NAME=AMOUNT"),
    ],
)
def test_what_can_not_be_is_said_in_a_sentence_with_a_code_of_its_own(
    words: list[str], code: int, said: str
) -> None:
    result = types(*words)

    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr
    assert "Traceback" not in result.output


def test_of_an_id_that_is_given_twice_the_first_body_counts_and_the_second_is_named() -> None:
    lines = '{"a": 1, "b": 1, "a": 2}\n{"b": {"b": 2}, "c": 1}\n'
    said = json.loads(types("put", "-", "--json", said=lines).stdout)
    assert said == {"added": ["a", "b", "c"], "present": ["a", "b"]}
    assert json.loads(types("show", "b", "--json").stdout)["body"] == 1


def test_no_id_and_no_reason_moves_the_terminal() -> None:
    id_ = "\x1b[2J \x9b31m \u202e"
    types("put", json.dumps({id_: 1}))
    types("claim")
    types("fail", id_, "--reason", f"two\nlines {id_}")
    for said in types("list", "fail").stdout, types("show", id_).stdout:
        assert not set(said) & set("\x1b\x9b\u202e")
    assert "two\nlines" in types("show", id_).stdout


def test_help_teaches_with_examples_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASK_QUEUE_TOKEN", TOKEN)
    monkeypatch.setenv("SQL_QUEUE_CONNECTION_STRING", f"postgresql://me:{TOKEN}@db/x")
    for words in ([], ["server"], ["controller"], ["put"], ["settings"]):
        said = types(*words, *(["--help"] if words != ["settings"] else []))
        assert said.exit_code == 0
        assert TOKEN not in said.output
    controller = types("controller", "--help").stdout
    assert "labs task-queue controller --worker-interface process" in controller
    assert "[in-memory|sql-json|s3-json]" in controller


def test_a_server_is_used_by_the_other_commands_and_ends_cleanly(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    words = ["--queue_implementation", "in-memory", "--port", "0", "--token-file", str(token)]
    with runs("server", *words) as (server, first):
        url = url_in(first)
        assert TOKEN not in first
        assert types("status", "--queue", url).exit_code == 22
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TASK_QUEUE_TOKEN", TOKEN)
            assert types("put", '{"a": 1}', "--queue", url).stdout == "1 added.\n"
            assert json.loads(types("status", "--json", "--queue", url).stdout)["WAITING"] == 1
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=TIMEOUT_S)
    assert (server.returncode, said.splitlines()[-1][-8:]) == (0, "Stopped.")
    assert "Traceback" not in said


def test_a_server_asked_to_stop_under_load_has_done_what_it_has_answered(tmp_path: Path) -> None:
    place = {
        "SQL_QUEUE_CONNECTION_STRING": f"sqlite:///{tmp_path / 'tasks.db'}",
        "SQL_QUEUE_NAME": "load",
    }
    answered: list[str] = []
    errors: list[Exception] = []

    def load(name: int) -> None:
        with ApiClient(url, retries=0) as client, suppress(StoreUnreachable):
            for n in range(100_000):
                try:
                    client.put({f"{name}/{n}": n})
                except StoreUnreachable:
                    raise
                except Exception as error:
                    errors.append(error)
                    raise
                answered.append(f"{name}/{n}")

    with runs("server", "--port", "0", **place) as (server, first):
        url = url_in(first)
        clients = [threading.Thread(target=load, args=(name,)) for name in range(4)]
        for client in clients:
            client.start()
        wait_until(lambda: len(answered) > 40, TIMEOUT_S, what="some to be answered")
        server.terminate()
        for client in clients:
            client.join(TIMEOUT_S)
        _, said = server.communicate(timeout=TIMEOUT_S)

    assert (server.returncode, errors) == (0, [])
    assert "Traceback" not in said
    with SqlQueue.connect(place["SQL_QUEUE_CONNECTION_STRING"], "load") as queue:
        stored = set(queue.lookup_state(0))  # type: ignore[arg-type]  # the stage's number
    assert set(answered) <= stored


def test_while_the_database_is_away_the_server_says_so_and_goes_on_when_it_is_back(
    own_postgres: LocalPostgres,
) -> None:
    password = own_postgres.url.split(":")[2].split("@")[0]
    with (
        SqlQueue.connect(own_postgres.url, "test") as queue,
        serving(create_app(queue)) as url,
        httpx.Client(base_url=f"{url}/api/v1/queue", trust_env=False, timeout=60) as http,
    ):
        http.post("/put", json={"a": 1})
        assert http.get("/health").status_code == 200

        own_postgres.stop()
        health, sizes = http.get("/health"), http.get("/sizes")
        assert [health.status_code, sizes.status_code] == [503, 503]
        assert {health.json()["kind"], sizes.json()["kind"]} == {"StoreUnreachable"}
        assert sizes.headers["retry-after"]
        assert "task_queue_up 0.0" in http.get("/metrics").text
        described = http.get("/describe")
        assert password not in health.text + sizes.text + described.text

        own_postgres.start()
        wait_until(lambda: http.get("/health").status_code == 200, TIMEOUT_S, what="the database")
        assert http.get("/sizes").json()["WAITING"] == 1
        assert "task_queue_up 1.0" in http.get("/metrics").text


def test_a_server_waits_for_a_database_that_comes_later(own_postgres: LocalPostgres) -> None:
    own_postgres.stop()
    place = {"SQL_QUEUE_CONNECTION_STRING": own_postgres.url, "SQL_QUEUE_NAME": "late"}
    with runs("server", "--port", "0", "--json", **place) as (server, first):
        assert "does not answer" in json.loads(first)["message"]
        own_postgres.start()
        assert server.stderr is not None
        with ApiClient(url_in(server.stderr.readline())) as client:
            assert client.size(0) == 0  # type: ignore[arg-type]  # the stage's number
        server.terminate()
        server.communicate(timeout=TIMEOUT_S)
    assert server.returncode == 0


def test_a_controller_runs_scripts_settles_them_and_ends_when_asked(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "good.py").write_text("print('well')")
    (scripts / "bad.py").write_text("import sys; sys.exit(3)")
    types("put", '{"one": {"file_name": "good.py"}, "two": {"file_name": "bad.py"}}')

    words = ["--worker_interface", "process", "--path-to-scripts", str(scripts)]
    with runs("controller", *words, "--periodic_seconds", "0.1") as (controller, first):
        assert "Controlling as" in first

        def sizes() -> dict[str, int]:
            found: dict[str, int] = json.loads(types("status", "--json").stdout)
            return found

        wait_until(lambda: sizes()["SUCCESS"] == sizes()["FAIL"] == 1, TIMEOUT_S, what="the jobs")
        controller.terminate()
        printed, said = controller.communicate(timeout=TIMEOUT_S)
    assert controller.returncode == 0
    assert re.search(r"succeeded +'one'", printed)
    assert re.search(r"failed +'two'", printed)
    assert "Stopped" in said
    assert "3" in json.loads(types("show", "two", "--json").stdout)["reason"]


def test_a_controller_can_look_once(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    types("put", '{"one": {"file_name": "nowhere.py"}}')

    words = ["--worker-interface", "process", "--path-to-scripts", str(scripts)]
    looked = types("controller", *words, "--once", "--json")

    assert looked.exit_code == 0, looked.output
    assert json.loads(types("status", "--json").stdout)["WAITING"] == 0
