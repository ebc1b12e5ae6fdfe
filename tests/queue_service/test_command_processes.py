"""`labs queue-service serve`, `work` and `dispatch` as processes: begun, used, stopped, killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from labs.cli import labs
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.messages import State
from tests.queue_service.doors import build, client, cluster, job, shared_service, shared_url
from tests.support import wait_until

__all__ = ["build", "client", "cluster", "job", "shared_service", "shared_url"]

TIMEOUT_S = 30.0
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _home(labs_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert labs_home
    for name in list(os.environ):
        if name.upper().startswith("QUEUE_SERVICE_"):
            monkeypatch.delenv(name)


def types(*words: object, said: str | None = None) -> Result:
    return CliRunner().invoke(labs, ["queue-service", *map(str, words)], input=said)


@contextmanager
def runs(*words: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in the background, and the first line that it says on standard error."""
    started = subprocess.Popen(
        [sys.executable, "-m", "labs", "queue-service", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stderr is not None
        yield started, started.stderr.readline()
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


def url_in(line: str) -> str:
    found = re.search(r"https?://[\d.]+:\d+", line)
    assert found, line
    return found[0]


def test_a_server_for_this_machine_lets_everybody_in_says_so_and_ends_with_ctrl_c() -> None:
    with runs("serve", "--port", 0, "--log-requests") as (server, first):
        url = url_in(first)
        assert "Everybody on this machine may use it" in first
        assert types("start", 1, 777, "--url", url).stdout == "1 is queued.\n"
        assert "<html" in httpx.get(url, trust_env=False).text
        taken = types("serve", "--port", url.rpartition(":")[2])
        assert (taken.exit_code, "in use" in taken.stderr) == (2, True), taken.output
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=TIMEOUT_S)
    assert (server.returncode, said.splitlines()[-1][-8:]) == (0, "Stopped.")
    assert '"status": 201' in said
    assert "Traceback" not in said


def test_with_its_own_keys_a_server_lets_in_who_has_a_token_with_the_scope(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with runs("serve", "--port", 0, "--own-keys", "--no-page", "--json") as (server, made):
        assert "Made a pair of keys" in made
        assert server.stderr is not None
        url = json.loads(server.stderr.readline())["url"]
        monkeypatch.setenv("QUEUE_SERVICE_URL", url)
        assert types("stats").exit_code == 22
        token = types("token", "--scope", "worker", "--life", "5m").stdout.strip()
        monkeypatch.setenv("QUEUE_SERVICE_TOKEN", token)
        assert types("stats").exit_code == 0
        assert types("start", 1, 777).exit_code == 26
        monkeypatch.setenv("QUEUE_SERVICE_TOKEN", types("token").stdout.strip())
        assert types("start", 1, 777).stdout == "1 is queued.\n"
        assert httpx.get(url, trust_env=False).status_code == 404
        server.terminate()
        printed, said = server.communicate(timeout=TIMEOUT_S)
    assert server.returncode == 0
    assert token not in printed + said


def test_keys_are_made_once_and_published_and_passwords_are_set_in_a_file(
    tmp_path: Path,
) -> None:
    first = types("keys", "--folder", tmp_path / "team")
    assert "Made a pair" in first.stderr
    again = types("keys", "--folder", tmp_path / "team", "--jwks")
    assert [key["kty"] for key in json.loads(again.stdout)["keys"]] == ["RSA"]
    private = tmp_path / "team" / "private.pem"
    assert "PRIVATE" not in first.output + again.output
    assert private.stat().st_mode & 0o777 == 0o600
    token = types("token", "--key", private, "--life", "1d").stdout.strip()
    assert token.count(".") == 2
    (tmp_path / "team" / "public.pem").unlink()
    torn = types("keys", "--folder", tmp_path / "team")
    assert (torn.exit_code, "none at" in torn.stderr) == (2, True)

    file = tmp_path / "passwords"
    set_ = types("password", "ada", "--scope", "sdapi", "--file", file, said=f"{SECRET}\n")
    assert set_.stdout == f"ada has a password in {file}.\n"
    assert "a new password" in types("password", "ada", "--file", file, said="other\n").stdout
    assert SECRET not in file.read_text() + set_.output
    assert "not in" in types("password", "ada", "--file", file, "--remove").stdout


def test_ctrl_c_lets_a_worker_finish_what_runs_and_a_second_one_hands_it_back(
    client: QueueServiceClient, shared_url: str, build: int, job: int, cluster: str, tmp_path: Path
) -> None:
    for n in range(2):
        client.start(build + n, job + n, cluster=cluster)
    script = tmp_path / "build.sh"
    script.write_text(
        f'touch "{tmp_path}/$BUILD_ID.runs"\n'
        f'until [ -e "{tmp_path}/$BUILD_ID.go" ]; do sleep 0.05; done\n'
    )

    def running(n: int) -> None:
        there = tmp_path / f"{build + n}.runs"
        wait_until(there.exists, TIMEOUT_S, what="the command to run")

    words = ("work", "--url", shared_url, "--cluster", cluster, "--", "sh", script)
    with runs(*words) as (worker, _):
        running(0)
        worker.send_signal(signal.SIGINT)
        (tmp_path / f"{build}.go").touch()
        _, said = worker.communicate(timeout=TIMEOUT_S)
    assert (worker.returncode, said.splitlines()[-1]) == (0, "Stopped.")
    assert client.find(str(build)).message.state is State.DONE
    assert client.find(str(build + 1)).message.state is State.QUEUED

    with runs(*words) as (worker, _):
        running(1)
        worker.send_signal(signal.SIGINT)
        assert worker.stderr is not None
        assert "once more" in worker.stderr.readline()
        worker.send_signal(signal.SIGINT)
        worker.communicate(timeout=TIMEOUT_S)
    message = client.find(str(build + 1)).message
    assert (worker.returncode, message.state, message.attempts) == (130, State.QUEUED, 0)


def test_a_build_that_is_stopped_ends_its_command(
    client: QueueServiceClient, shared_url: str, build: int, job: int, cluster: str, tmp_path: Path
) -> None:
    client.start(build, job, cluster=cluster)
    there = tmp_path / "pid"
    script = f"echo $$ > {there}.part && mv {there}.part {there} && exec sleep 600"
    words = ("--cluster", cluster, "--lease", 1, "--drain", "--", "sh", "-c", script)
    with runs("work", "--url", shared_url, *words) as (worker, _):
        wait_until(there.exists, TIMEOUT_S, what="the command to run")
        client.stop(build)
        printed, _ = worker.communicate(timeout=TIMEOUT_S)
    assert re.search(f"lost +Build {build} has been stopped", printed)
    assert not Path(f"/proc/{there.read_text().strip()}").exists()


def test_scripts_are_pushed_their_builds_and_a_dispatcher_ends_when_asked(
    client: QueueServiceClient, shared_url: str, build: int, job: int, cluster: str, tmp_path: Path
) -> None:
    (tmp_path / "good.py").write_text("print('well')")
    words = ("--worker-interface", "process", "--path-to-scripts", tmp_path, "--cluster", cluster)
    with runs("dispatch", "--url", shared_url, *words) as (dispatcher, first):
        assert "Dispatching to process" in first
        client.start(build, job, {"file_name": "good.py"}, cluster=cluster)
        wait_until(
            lambda: client.find(str(build)).message.state is State.DONE, TIMEOUT_S, what="the build"
        )
        dispatcher.terminate()
        printed, said = dispatcher.communicate(timeout=TIMEOUT_S)
    assert dispatcher.returncode == 0, said
    assert re.search(rf"succeeded +{build} +{cluster}", printed), printed


def test_a_store_that_is_not_there_yet_is_waited_for_and_its_password_is_not_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    store = f"postgresql://me:{SECRET}@127.0.0.1:{port}/builds"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("QUEUE_SERVICE_STORE", store)
        with runs("serve", "--port", 0) as (server, first):
            assert "does not answer; trying again" in first
            server.terminate()
            _, said = server.communicate(timeout=TIMEOUT_S)
    assert (server.returncode, SECRET in first + said) == (0, False)
