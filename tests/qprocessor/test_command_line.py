"""The flags that say where the broker is, the environment, the help, and the contract's lines."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pika

import qprocessor as the_program
from labs.broker.address import Address
from tests.qprocessor.running import SCRIPT, Qprocessor
from tests.support import count, declare, publish, wait_until

ONCE = ("--idle-timeout", "0")


def parts(vhost: Address) -> list[str]:
    """The flags that say all of an address, one by one."""
    return [
        *("--host", vhost.host, "--port", str(vhost.port), "--vhost", vhost.vhost),
        *("--username", vhost.username, "--password", vhost.password),
    ]


def test_amqp_url_in_the_environment_says_where_the_broker_is(qprocessor: Qprocessor) -> None:
    assert qprocessor.run(*ONCE).process.returncode == 0


def test_url_goes_before_the_environment(qprocessor: Qprocessor, vhost: Address) -> None:
    elsewhere = {"AMQP_URL": "amqp://127.0.0.1:1"}
    assert qprocessor.run("--url", vhost.url, *ONCE, environment=elsewhere).process.returncode == 0


def test_single_flags_go_before_the_url(qprocessor: Qprocessor, vhost: Address) -> None:
    elsewhere = {"AMQP_URL": "amqps://stranger:wrong@nowhere.invalid:1/ghost"}
    plain = {"AMQP_URL": "amqp://stranger:wrong@nowhere.invalid:1/ghost"}
    assert qprocessor.run(*parts(vhost), *ONCE, environment=plain).process.returncode == 0
    worker = qprocessor.run(*parts(vhost), *ONCE, environment=elsewhere)
    assert worker.process.returncode == the_program.kinds()["tls_failed"].exit_code


def test_single_flags_come_from_the_environment_too(qprocessor: Qprocessor, vhost: Address) -> None:
    environment = {
        "AMQP_URL": "",
        "QPROCESSOR_HOST": vhost.host,
        "QPROCESSOR_PORT": str(vhost.port),
        "QPROCESSOR_VHOST": vhost.vhost,
        "QPROCESSOR_USERNAME": vhost.username,
        "QPROCESSOR_PASSWORD": vhost.password,
        "QPROCESSOR_IDLE_TIMEOUT": "0",
        "QPROCESSOR_ACKNOWLEDGE": "1",
        "QPROCESSOR_JSON": "1",
    }
    worker = qprocessor.run(environment=environment)
    assert worker.process.returncode == 0, worker.err
    assert worker.events("started")[0]["acknowledge"] is True


def test_the_labs_own_broker_is_found_beside_the_file(
    qprocessor: Qprocessor, vhost: Address, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere" / "qprocessor.py"
    (copy.parent / ".labs").mkdir(parents=True)
    (copy.parent / ".labs" / "amqp-url").write_text(vhost.url + "\n")
    shutil.copy(SCRIPT, copy)
    worker = qprocessor.run(*ONCE, environment={"AMQP_URL": ""}, script=copy)
    assert worker.process.returncode == 0, worker.err


def test_the_labs_own_broker_is_found_where_the_lab_keeps_its_things(
    qprocessor: Qprocessor, vhost: Address, tmp_path: Path
) -> None:
    (tmp_path / "amqp-url").write_text(vhost.url)
    worker = qprocessor.run(*ONCE, environment={"AMQP_URL": "", "LABS_HOME": str(tmp_path)})
    assert worker.process.returncode == 0, worker.err


def test_with_another_host_the_labs_own_broker_is_out_of_the_question(
    qprocessor: Qprocessor, vhost: Address, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere" / "qprocessor.py"
    (copy.parent / ".labs").mkdir(parents=True)
    (copy.parent / ".labs" / "amqp-url").write_text(vhost.url)
    shutil.copy(SCRIPT, copy)
    worker = qprocessor.run("--host", "nowhere.invalid", environment={"AMQP_URL": ""}, script=copy)
    assert worker.process.returncode == the_program.kinds()["unknown_host"].exit_code


def test_without_any_word_it_is_rabbitmqs_own_default() -> None:
    nothing = dict.fromkeys(("port", "vhost", "username", "password", "heartbeat"))
    found = the_program.broker_from(None, "localhost", False, name="x", **nothing)
    assert (found.host, found.port, found.virtual_host) == ("localhost", 5672, "/")
    assert found.credentials == pika.PlainCredentials("guest", "guest")
    assert found.ssl_options is None


def test_tls_means_port_5671_and_the_systems_trust() -> None:
    nothing = dict.fromkeys(("port", "vhost", "username", "password", "heartbeat"))
    found = the_program.broker_from("amqps://broker.example.org", None, False, name="x", **nothing)
    assert found.port == 5671
    assert found.ssl_options
    assert found.ssl_options.server_hostname == "broker.example.org"
    assert found.ssl_options.context.check_hostname


def test_a_password_is_asked_for_and_not_shown(vhost: Address) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "--password", *ONCE],
        env={"AMQP_URL": vhost.url.replace(f":{vhost.password}@", ":wrong@"), "TERM": "dumb"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    ) as process:
        os.close(follower)
        seen = b""
        while b"Password:" not in seen:
            seen += os.read(leader, 1000)
        os.write(leader, vhost.password.encode() + b"\n")
        assert process.wait(30) == 0
        seen += os.read(leader, 10_000)
    os.close(leader)
    hidden = seen.decode().replace(f"{vhost.username} ", "")
    assert "stopped (idle-timeout)" in hidden
    assert vhost.password not in hidden


def test_help_teaches_every_flag_and_every_exit_code(qprocessor: Qprocessor) -> None:
    shown = qprocessor.run("--help").out
    for flag in the_program.main.params:
        assert flag.opts[0] in shown
    for kind in the_program.kinds().values():
        assert f"\n  {kind.exit_code}" in shown
    assert "Exit codes:" in shown
    assert "Work, and trouble on purpose:" in shown


def test_version_is_said(qprocessor: Qprocessor) -> None:
    shown = qprocessor.run("--version").out
    assert shown.startswith(f"qprocessor {the_program.VERSION}, pika ")


def test_bash_completes_the_flags(tmp_path: Path) -> None:
    link = tmp_path / "qprocessor.py"
    link.symlink_to(SCRIPT)
    ended = subprocess.run(
        [sys.executable, str(link)],
        env={
            "_QPROCESSOR_PY_COMPLETE": "bash_complete",
            "COMP_WORDS": "qprocessor.py --lose",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "plain,--lose-every\n"


def test_it_can_be_started_as_a_program_and_by_uv() -> None:
    assert os.access(SCRIPT, os.X_OK)
    head = SCRIPT.read_text()[:200]
    assert head.startswith("#!/usr/bin/env python3\n# /// script\n")
    assert 'dependencies = ["click' in head


def test_importing_it_does_nothing() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import qprocessor"],
        cwd=SCRIPT.parent,
        capture_output=True,
        check=True,
    )
    assert (ended.stdout, ended.stderr) == (b"", b"")


# The contract between a worker and whoever judges it: AMQP_URL, QUEUE, DELAY, `done BODY`.


def test_queue_and_delay_come_from_the_environment(qprocessor: Qprocessor, vhost: Address) -> None:
    declare(vhost, "set by the judge")
    publish(vhost, "set by the judge", ["ten chars."])
    environment = {"QUEUE": "set by the judge", "DELAY": "0.01"}
    worker = qprocessor.run("--json", "--max-messages", "1", environment=environment)
    assert worker.events("started")[0]["delay_s"] == 0.01
    assert worker.events("done")[0]["work_s"] >= 0.1


def test_a_done_line_holds_the_body_exactly(qprocessor: Qprocessor, vhost: Address) -> None:
    bodies = [
        "not bad",
        "  Grüße 👩‍🔬 \\n \t%s {}".strip(),
        "x" * 200,
        "日本語",
        "done (redelivered)",
    ]
    declare(vhost, "hello")
    publish(vhost, "hello", bodies)
    environment = {"DELAY": "0.0001"}
    worker = qprocessor.run("--acknowledge", "--max-messages", "5", environment=environment)
    assert worker.done == bodies


def test_done_is_printed_before_the_broker_hears_of_it(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    worker = qprocessor.consuming("--acknowledge", "--prefetch", "1", "--delay", "0.0001")
    publish(vhost, "hello", [f"task {number}" for number in range(200)])
    wait_until(lambda: worker.out.count("Done"), 30)
    worker.process.kill()
    worker.wait()
    # Killed anywhere: whatever is not in the queue any more was said to be done.
    wait_until(lambda: 200 - (count(vhost, "hello") or 0) <= len(worker.done), 30)
    assert len(worker.done) <= 200
