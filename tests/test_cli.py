"""The `labs` command as people and scripts meet it: what it prints, and its exit codes.

One lab, in a folder of its own, goes through its life from up to down; each test is
a moment of it. Others look at what needs no broker.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labs.broker import processes
from labs.broker.address import Address, parse_amqp_url
from labs.broker.binaries import Binaries
from labs.broker.connection import log_in
from labs.broker.nodefiles import MARKER
from labs.broker.processes import ProcessId
from labs.cli import COMMANDS
from labs.errors import BadInput, BrokerMissing, BrokerUnreachable
from tests import support

TIMEOUT_S = 180


class Command:
    """The `labs` command in one lab's folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if name != "AMQP_URL"}
        self.environment = kept | {"LABS_HOME": str(home), "COLUMNS": "200"}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "labs", *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self, *arguments: str, answer: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "labs", *arguments],
            env=self.environment | environment,
            input=answer,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def processes(self) -> list[int]:
        found = processes.carrying(MARKER, str(self.home / "node"))
        return sorted(process.pid for process in found if processes.lives(process))


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory, binaries: Binaries) -> Iterator[Command]:
    """A lab that has been started by two commands at once."""
    assert binaries.version
    command = Command(tmp_path_factory.mktemp("a lab") / ".labs")
    together = [command.start("up", "--with", "native") for _ in range(2)]
    said = [each.communicate(timeout=TIMEOUT_S) for each in together]
    assert [each.returncode for each in together] == [0, 0], said
    yield command
    command("down", "--wipe")


@pytest.fixture
def new(tmp_path: Path) -> Command:
    """A lab that was never started."""
    return Command(tmp_path / ".labs")


def address_of(labs: Command) -> Address:
    return parse_amqp_url((labs.home / "amqp-url").read_text())


def test_two_who_start_the_lab_at_once_start_one_broker(labs: Command) -> None:
    servers = [pid for pid in labs.processes() if "beam" in process_name(pid)]

    assert len(servers) == 1
    assert log_in(address_of(labs))


def process_name(pid: int) -> str:
    found = ProcessId.of(pid)
    process = found.process() if found else None
    return process.name() if process else ""


def test_up_on_a_running_lab_changes_nothing_and_never_shows_the_password(labs: Command) -> None:
    before = labs.processes()
    address = address_of(labs)

    done = labs("up")

    assert done.returncode == 0
    assert f"127.0.0.1:{address.port}" in done.stdout
    assert address.password not in done.stdout + done.stderr
    assert labs.processes() == before


def test_the_url_is_left_where_only_its_owner_reads_it(labs: Command) -> None:
    for name in ("amqp-url", "state.json"):
        assert stat.S_IMODE((labs.home / name).stat().st_mode) == 0o600


def test_env_prints_what_a_shell_evaluates(labs: Command) -> None:
    exports = labs("env").stdout

    said = subprocess.run(
        ["sh", "-c", f'{exports}\nprintf %s "$AMQP_URL"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said == address_of(labs).url
    assert labs("env", "--shell", "url").stdout.strip() == said


def test_a_shell_that_has_evaluated_env_still_means_the_labs_own_broker(labs: Command) -> None:
    stale = replace(address_of(labs), port=1).url

    status = json.loads(labs("status", "--json", AMQP_URL=stale).stdout)

    assert status["source"] == "native"
    assert status["port"] == address_of(labs).port


def test_status_tells_scripts_where_it_is_and_what_the_queues_hold(labs: Command) -> None:
    support.declare(address_of(labs), "hello")
    support.publish(address_of(labs), "hello", ["a", "b"])

    done = labs("status", "--json")

    status = json.loads(done.stdout)
    assert status["running"] is True
    assert {"name": "hello", "ready": 2} in [
        {key: queue[key] for key in ("name", "ready")} for queue in status["queues"]
    ]
    assert address_of(labs).password not in done.stdout
    assert "hello" in labs("status").stdout


def test_doctor_finds_a_healthy_lab_well(labs: Command) -> None:
    done = labs("doctor", "--json")

    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 0, found
    named = {"Python", "Docker", "broker", "port", "login", "vhost", "permissions", "version"}
    assert set(found) >= named | {"management", "heartbeat", "alarms", "folder"}
    assert {found[name]["state"] for name in ("login", "vhost", "permissions")} == {"ok"}
    assert all(row["cure"] for row in found.values() if row["state"] in ("bad", "careful"))
    assert "heartbeat" in labs("doctor").stdout


def test_reset_asks_and_then_deletes_what_was_left(labs: Command) -> None:
    address = address_of(labs)
    support.declare(address, "left over")
    (labs.home / "workers").mkdir(exist_ok=True)
    with subprocess.Popen(["sleep", "300"]) as worker:
        known = ProcessId.of(worker.pid)
        assert known is not None
        note = {"worker": {"pid": known.pid, "started": known.started}}
        (labs.home / "workers" / "1.json").write_text(json.dumps(note))

        refused = labs("reset", answer="n\n")
        assert "left over" in refused.stdout
        assert support.count(address, "left over") == 0

        done = labs("reset", "--yes")

        assert done.returncode == 0, done.stderr
        assert worker.wait(timeout=10) == -signal.SIGKILL
    assert support.count(address, "left over") is None
    assert "Nothing to do" in labs("reset").stdout


def test_reset_of_one_queue_leaves_the_others(labs: Command) -> None:
    address = address_of(labs)
    support.declare(address, "one")
    support.declare(address, "two")

    labs("reset", "--yes", "one")

    assert support.count(address, "one") is None
    assert support.count(address, "two") == 0


def test_a_torn_state_file_is_no_harm(labs: Command) -> None:
    before = labs.processes()
    (labs.home / "state.json").write_text("{torn")

    done = labs("up", "--with", "native")

    assert done.returncode == 0
    assert labs.processes() == before
    assert json.loads((labs.home / "state.json").read_text())["source"] == "native"


def test_a_broker_that_was_killed_is_known_to_be_gone_and_comes_back(labs: Command) -> None:
    server = next(pid for pid in labs.processes() if "beam" in process_name(pid))
    os.kill(server, signal.SIGKILL)
    support.wait_until(lambda: not process_name(server), 10)

    assert labs("status").returncode == BrokerMissing.exit_code
    assert labs("up").returncode == 0
    assert log_in(address_of(labs))


def test_restart_keeps_the_address_and_what_is_persistent(labs: Command) -> None:
    address = address_of(labs)
    support.declare(address, "kept", durable=True)
    support.publish(address, "kept", ["x"], persistent=True)
    before = labs.processes()

    done = labs("restart")

    assert done.returncode == 0, done.stderr
    assert address_of(labs) == address
    assert set(before).isdisjoint(labs.processes())
    assert support.count(address, "kept") == 1


def test_down_leaves_no_process_and_no_word(labs: Command) -> None:
    assert labs.processes()

    done = labs("down")

    assert done.returncode == 0
    assert labs.processes() == []
    assert not (labs.home / "amqp-url").exists()
    assert (labs.home / "node" / "data").exists()
    assert "No broker" in labs("down").stdout


def test_wipe_removes_the_data(labs: Command) -> None:
    labs("down", "--wipe")

    assert not (labs.home / "node").exists()


def test_ctrl_c_while_the_broker_starts_leaves_nothing_behind(new: Command) -> None:
    starting = new.start("up", "--with", "native")
    support.wait_until(lambda: len(new.processes()) > 1, 60)

    starting.send_signal(signal.SIGINT)
    _, said = starting.communicate(timeout=60)

    assert starting.returncode == 130, said
    assert "Traceback" not in said
    assert new.processes() == []


@pytest.mark.parametrize("command", ["env", "restart", "reset", "status"])
def test_without_a_broker_it_says_what_to_do(new: Command, command: str) -> None:
    done = new(command)

    assert done.returncode == BrokerMissing.exit_code
    assert "labs up" in done.stdout + done.stderr


def test_status_without_a_broker_is_json_too(new: Command) -> None:
    assert json.loads(new("status", "--json").stdout) == {"running": False}


def test_a_class_server_is_used_remembered_and_forgotten(new: Command, vhost: Address) -> None:
    done = new("up", "--url", vhost.url)
    assert done.returncode == 0, done.stderr
    assert (new.home / "amqp-url").read_text().strip() == vhost.url
    assert new.processes() == []

    refused = new("restart")
    assert refused.returncode == BadInput.exit_code
    assert "not ours to restart" in refused.stderr

    assert json.loads(new("status", "--json").stdout)["source"] == "server"
    assert "goes on running" in new("down").stdout
    assert log_in(vhost)
    assert new("status").returncode == BrokerMissing.exit_code


def test_a_class_server_of_the_environment_comes_first_and_is_not_remembered(
    new: Command, vhost: Address
) -> None:
    done = new("up", AMQP_URL=vhost.url)

    assert done.returncode == 0, done.stderr
    assert vhost.vhost in done.stdout
    assert not (new.home / "amqp-url").exists()


def test_reset_on_a_class_server_without_a_management_api_takes_names(
    new: Command, vhost: Address
) -> None:
    support.declare(vhost, "mine")

    unnamed = new("reset", "--yes", AMQP_URL=vhost.url)
    assert unnamed.returncode == BadInput.exit_code
    assert "labs reset hello" in unnamed.stderr

    assert new("reset", "--yes", "mine", AMQP_URL=vhost.url).returncode == 0
    assert support.count(vhost, "mine") is None


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ({"password": "wrong"}, "login"),
        ({"vhost": "ghost"}, "vhost"),
        ({"vhost": "/"}, "vhost"),
        ({"port": 1}, "port"),
        ({"host": "no-such-host.invalid"}, "port"),
    ],
)
def test_doctor_names_the_row_that_fails_and_its_cure(
    new: Command, vhost: Address, change: dict[str, object], row: str
) -> None:
    done = new("doctor", "--json", "--url", replace(vhost, **change).url)  # type: ignore[arg-type]

    bad = [found for found in json.loads(done.stdout) if found["state"] == "bad"]
    assert done.returncode == 1
    assert [found["name"] for found in bad] == [row]
    assert bad[0]["cure"]


def test_doctor_knows_the_management_port(new: Command, vhost: Address) -> None:
    assert vhost.management_url
    wrong = replace(vhost, port=int(vhost.management_url.rpartition(":")[2]))

    done = new("doctor", "--url", wrong.url)

    assert done.returncode == 1
    assert "15672" in done.stdout


def test_a_server_that_refuses_ends_with_a_sentence_and_its_exit_code(
    new: Command, vhost: Address
) -> None:
    secret = secrets.token_hex(8)

    done = new("up", "--url", replace(vhost, password=secret).url)

    assert done.returncode == BrokerUnreachable.exit_code
    assert "password" in done.stderr
    assert secret not in done.stderr


@pytest.mark.parametrize("url", ["http://x", "amqp://h/a/b", "nonsense"])
def test_what_is_no_url_is_refused(new: Command, url: str) -> None:
    done = new("up", "--url", url)

    assert done.returncode == BadInput.exit_code
    assert "amqp" in done.stderr or "%2F" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_teaches_itself(new: Command, command: str) -> None:
    done = new(command, "--help")

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 5
    assert command in new("--help").stdout


@pytest.mark.parametrize(
    ("slip", "meant"), [(["exercise"], "exercises"), (["jobs", "failed", "lst"], "list")]
)
def test_a_slip_of_the_finger_is_met_with_the_nearest_command(
    new: Command, slip: list[str], meant: str
) -> None:
    done = new(*slip)

    assert done.returncode == 2
    assert f"Did you mean {meant!r}?" in done.stderr


def test_the_list_of_a_group_tells_each_command_whole(new: Command) -> None:
    said = new("queue-service", "--help", COLUMNS="80").stdout

    assert "Handle jobs with the handlers of a Python FILE, until Ctrl-C or SIGTERM." in " ".join(
        new("jobs", "--help", COLUMNS="80").stdout.split()
    )
    assert "..." not in said.split("Commands:")[1]
    assert all(len(line) <= 80 for line in said.split("Commands:")[1].splitlines())


def test_tab_completes_commands(new: Command) -> None:
    script = (
        'eval "$(labs completion bash)"; COMP_WORDS=(labs do); COMP_CWORD=1; '
        '_labs_completion labs; printf "%s " "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    said = subprocess.run(
        ["bash", "-c", script],
        env=new.environment | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said.split() == ["down", "doctor"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for_each_shell(new: Command, shell: str) -> None:
    assert "_LABS_COMPLETE" in new("completion", shell).stdout


def test_docker_that_was_asked_for_and_is_not_there_is_said(new: Command) -> None:
    done = new("up", "--with", "docker", DOCKER_HOST="unix:///nowhere/docker.sock")

    assert done.returncode == BrokerMissing.exit_code
    assert "Docker" in done.stderr


def test_a_folder_that_may_not_be_written_to_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = Command(tmp_path / "file" / ".labs")("up", "--with", "native")

    assert done.returncode not in (0, 130)
    assert "LABS_HOME" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_has_a_broker_too() -> None:
    python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    as_nobody = ["runuser", "-u", "nobody", "--", "env", f"PYTHONPATH={os.pathsep.join(sys.path)}"]
    tried = subprocess.run(
        [*as_nobody, python, "-c", "import labs.broker.node"], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip("the user nobody can't read this checkout, or has no such Python")
    home = Path("/tmp") / f"labs-nobody-{secrets.token_hex(4)}"  # noqa: S108 - theirs to enter
    home.mkdir()
    subprocess.run(["chown", "nobody", str(home)], check=True)
    command = [*as_nobody, f"LABS_HOME={home}/.labs", python, "-m", "labs"]
    run = {"capture_output": True, "text": True, "timeout": TIMEOUT_S, "check": False}
    try:
        up = subprocess.run([*command, "up", "--with", "native"], **run)  # type: ignore[call-overload]
        assert up.returncode == 0, up.stderr
        own = processes.carrying(MARKER, f"{home}/.labs/node")
        assert {process.username() for process in own} == {"nobody"}
    finally:
        subprocess.run([*command, "down", "--wipe"], **run)  # type: ignore[call-overload]
        left = processes.carrying(MARKER, f"{home}/.labs/node")
        subprocess.run(["rm", "-r", str(home)], check=True)
    assert left == []


def test_up_answers_at_once_when_asked_for_little(new: Command) -> None:
    """The commands import what they need: asking for help loads no pika, no httpx, no docker."""
    imported = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "labs", "up", "--help"],
        env=new.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    names = {line.rpartition("|")[2].strip() for line in imported.splitlines()}

    assert "labs.broker.locate" in names
    assert names.isdisjoint({"pika", "httpx", "docker", "rich", "jupyterlab", "matplotlib"})
