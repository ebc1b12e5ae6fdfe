"""Each failure that a person can meet: made for real, with its sentence and its exit code."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pika
import pytest

import qprocessor as the_program
from labs.broker import connection
from labs.broker.address import Address
from labs.broker.management import Management
from labs.broker.node import PrivateNode
from labs.broker.versions import series_of
from tests.qprocessor.running import SCRIPT, Qprocessor, Running
from tests.support import declare, publish

SECRET = "a%2Fse:cr@et"


def failed(worker: Running, kind: str) -> str:
    """The worker failed in this way, with that kind's exit code; returns its sentences."""
    worker.wait()
    row = the_program.kinds()[kind]
    assert worker.process.returncode == row.exit_code, worker.err
    assert "Traceback" not in worker.err
    assert worker.err.startswith(" [!] ")
    assert worker.err.count("\n") == 2, "one line says what happened, one what to do"
    return worker.err


def test_each_kind_has_an_exit_code_of_its_own() -> None:
    kinds = the_program.kinds()
    assert len(kinds) == 15
    assert len({kind.exit_code for kind in kinds.values()}) == 15
    assert not {kind.exit_code for kind in kinds.values()} & {0, 1, 2}


def test_nothing_listens(qprocessor: Qprocessor) -> None:
    assert "Nothing answers at 127.0.0.1:1." in failed(qprocessor.run("--port", "1"), "refused")


def test_a_failure_is_an_event_too(qprocessor: Qprocessor) -> None:
    worker = qprocessor.run("--port", "1", "--json")
    said = failed(worker, "refused")
    event = worker.events("failed")[0]
    assert (event["kind"], event["exit_code"]) == ("refused", worker.process.returncode)
    assert event["message"] in said
    assert event["remedy"] in said
    assert worker.events()[-1]["reason"] == "refused"


def test_no_such_host(qprocessor: Qprocessor) -> None:
    worker = qprocessor.run("--url", "amqp://nowhere.invalid")
    assert "'nowhere.invalid'" in failed(worker, "unknown_host")


def test_wrong_password(qprocessor: Qprocessor, vhost: Address) -> None:
    said = failed(qprocessor.run("--password", SECRET), "wrong_password")
    assert vhost.username in said


def test_no_such_vhost(qprocessor: Qprocessor) -> None:
    assert "'ghost'" in failed(qprocessor.run("--vhost", "ghost"), "no_vhost")


def test_a_vhost_of_others(qprocessor: Qprocessor, broker: Address) -> None:
    failed(qprocessor.run("--vhost", broker.vhost), "no_permission")


def test_no_permission_to_make_the_queue(
    qprocessor: Qprocessor, broker: Address, vhost: Address
) -> None:
    with Management(broker) as management:
        management.set_permissions(vhost.username, vhost.vhost, configure="^mine")
    assert "'hello'" in failed(qprocessor.run(), "no_permission")


def test_no_permission_to_read_the_queue(
    qprocessor: Qprocessor, broker: Address, vhost: Address
) -> None:
    declare(vhost, "hello")
    with Management(broker) as management:
        management.set_permissions(vhost.username, vhost.vhost, read="^mine")
    failed(qprocessor.run(), "no_permission")


def test_an_exclusive_queue_of_another_connection(qprocessor: Qprocessor, vhost: Address) -> None:
    with connection.connected(vhost) as other:
        other.channel().queue_declare("hello", exclusive=True)
        assert "'hello'" in failed(qprocessor.run(), "queue_locked")


def test_an_exclusive_consumer_of_another_connection(
    qprocessor: Qprocessor, vhost: Address
) -> None:
    declare(vhost, "hello")
    with connection.connected(vhost) as other:
        other.channel().basic_consume("hello", lambda *_: None, exclusive=True)
        failed(qprocessor.run(), "queue_locked")


def test_a_setting_that_the_broker_refuses(qprocessor: Qprocessor) -> None:
    worker = qprocessor.run("--queue-type", "stream", "--acknowledge")  # it wants a prefetch
    assert "PRECONDITION_FAILED" in failed(worker, "precondition_failed")


def test_the_queue_is_deleted_under_it(qprocessor: Qprocessor, vhost: Address) -> None:
    worker = qprocessor.consuming()
    with connection.connected(vhost) as other:
        other.channel().queue_delete("hello")
    assert "'hello' was deleted" in failed(worker, "queue_deleted")


def test_the_subscription_is_ended_and_the_queue_is_there(vhost: Address) -> None:
    """No broker does this when asked to; so the part that finds it out is asked by itself."""
    declare(vhost, "hello")
    flags = the_program.main.make_context("qprocessor.py", ["--url", vhost.url]).params
    fields = the_program.Settings.__dataclass_fields__
    settings = the_program.Settings(**{name: flags[name] for name in fields})
    subscription = the_program.Worker(the_program.broker_from(**flags), settings).subscription
    subscription._connect()
    assert subscription._cancelled_by_broker().kind == "consumer_cancelled"
    assert subscription.connection is not None
    subscription.connection.close()


def test_the_connection_is_closed_by_the_broker(
    qprocessor: Qprocessor, broker: Address, vhost: Address
) -> None:
    worker = qprocessor.consuming()
    close_its_connection(broker, vhost)
    assert "closed by the lab" in failed(worker, "connection_lost")


def close_its_connection(broker: Address, vhost: Address) -> None:
    """Have the broker close the connection of the worker, which is the vhost's only one."""
    with Management(broker) as management:
        (_,) = management.connections_of(vhost.username)
        management.close_connections_of(vhost.username)


def test_no_acknowledgement_in_time(
    own_node: PrivateNode, own_qprocessor: Qprocessor, own_address: Address
) -> None:
    # The broker looks at its channels once a minute; new ones every half second from here on.
    own_node.control("eval", "application:set_env(rabbit, channel_tick_interval, 500).")
    declare(own_address, "slow", arguments={"x-queue-type": "quorum"})
    publish(own_address, "slow", ["lost"])
    worker = own_qprocessor.run("--queue", "slow", "--acknowledge", "--lose-every", "1")
    # RabbitMQ 4.3 ends the subscription, and earlier ones close the channel.
    ends_subscription = series_of(connection.log_in(own_address).version) >= (4, 3)
    kind = "consumer_cancelled" if ends_subscription else "acknowledgement_timeout"
    assert "acknowledgement" in failed(worker, kind)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where somebody answers, who speaks no AMQP and hangs up."""
    code = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "while True: server.accept()[0].sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as server:
        assert server.stdout
        yield int(server.stdout.readline())
        server.kill()


def test_another_service_at_the_port(qprocessor: Qprocessor, silent_port: int) -> None:
    worker = qprocessor.run("--port", str(silent_port))
    assert f"127.0.0.1:{silent_port}" in failed(worker, "not_amqp")


def test_tls_where_none_is_spoken(qprocessor: Qprocessor) -> None:
    failed(qprocessor.run("--tls"), "tls_failed")


def test_a_certificate_that_is_not_trusted(qprocessor: Qprocessor, tmp_path: Path) -> None:
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "certificate.pem"),
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    code = (
        "import socket, ssl\n"
        "context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)\n"
        "context.load_cert_chain('certificate.pem', 'key.pem')\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "while True:\n"
        "    try: context.wrap_socket(server.accept()[0], server_side=True)\n"
        "    except OSError: pass\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path
    ) as server:
        assert server.stdout
        worker = qprocessor.run("--tls", "--port", server.stdout.readline().decode().strip())
        server.kill()
    failed(worker, "tls_failed")


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (541, "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is off", "transient_refused"),
        (320, "CONNECTION_FORCED - broker forced connection closure", "connection_lost"),
    ],
)
def test_words_of_other_brokers_are_known(code: int, said: str, kind: str) -> None:
    reason = pika.exceptions.ConnectionClosedByBroker(code, said)
    assert the_program.kind_of(reason) == kind


def test_a_missing_queue_is_known_by_the_brokers_words(vhost: Address) -> None:
    with (
        connection.connected(vhost) as broker,
        pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught,
    ):
        broker.channel().basic_consume("nosuch", lambda *_: None)
    assert the_program.kind_of(caught.value) == "not_found"


@pytest.mark.parametrize(
    "flags",
    [
        ["--prefetch", "65536"],
        ["--lose-every", "0"],
        ["--delay", "-1"],
        ["--queue", ""],
        ["--queue", "x" * 256],
        ["--queue-type", "quorum", "--transient"],
        ["--url", "http://localhost"],
        ["--url", f"amqp://user:{SECRET}@host:port/"],
        ["--url", "amqp://localhost/a/b"],
        ["--nosuch"],
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_door(
    qprocessor: Qprocessor, flags: list[str]
) -> None:
    worker = qprocessor.run(*flags)
    assert worker.process.returncode == 2
    assert "Traceback" not in worker.err
    assert "Error: " in worker.err
    assert SECRET not in worker.err
    assert worker.out == ""


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_password_is_never_shown(
    qprocessor: Qprocessor, broker: Address, vhost: Address, json: list[str]
) -> None:
    with Management(broker) as management:
        management.create_user(vhost.username, SECRET)
    whole = replace(vhost, password=SECRET)
    with socket.create_server(("127.0.0.1", 0)) as full:
        silent = replace(whole, port=full.getsockname()[1])
        full.close()
        workers = [
            qprocessor.run("--url", whole.url, "--idle-timeout", "0", *json),
            qprocessor.run("--url", silent.url, *json),
            qprocessor.run("--url", replace(whole, vhost="ghost").url, *json),
            qprocessor.run("--url", replace(whole, username="nobody").url, *json),
            qprocessor.run("--help", environment={"AMQP_URL": whole.url}),
        ]
    for worker in workers:
        for text in (worker.out, worker.err):
            assert SECRET not in text
            assert "a%252Fse%3Acr%40et" not in text


@pytest.mark.parametrize("package", ["pika", "click"])
def test_a_missing_package_is_named_in_words(tmp_path: Path, package: str) -> None:
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError(name={package!r})")
    ended = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert f"needs the package {package}" in ended.stderr
    assert "uv run qprocessor.py" in ended.stderr
    assert "Traceback" not in ended.stderr
