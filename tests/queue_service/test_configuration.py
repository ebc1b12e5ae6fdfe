"""Settings: which source wins, what is refused in words, and that no secret is ever shown."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from labs.errors import BadInput
from labs.queue_service.api import create_app
from labs.queue_service.auth import Authenticator
from labs.queue_service.configuration import (
    OF_THE_ENVIRONMENT,
    QueueServiceSettings,
    audience_of,
    authenticator_of,
    client_of,
    flag_of,
    load_settings,
    table,
)
from labs.queue_service.keys import load_private, make_pair, sign_token
from labs.queue_service.passwords import put_password
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from labs.task_queue.errors import StoreUnreachable
from tests.queue_service.test_server import certified

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("QUEUE_SERVICE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    file = tmp_path / "service.env"
    file.write_text(
        "# a comment\n"
        f"QUEUE_SERVICE_STORE=postgresql://dotenv:{SECRET}@db/builds\n"
        "queue_service_name=from the file\n"
        "export QUEUE_SERVICE_LISTEN_PORT=3\n"
        "SOMETHING_ELSE=1\n"
    )
    return file


def test_a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().listen_port == 8002
    assert load_settings(dotenv).listen_port == 3
    monkeypatch.setenv("queue_service_listen_port", "4")
    assert load_settings(dotenv).listen_port == 4
    assert load_settings(dotenv, listen_port=5).listen_port == 5
    assert load_settings(dotenv, listen_port=None).name == "from the file"


def test_the_file_may_be_named_by_the_environment(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUE_SERVICE_CONFIG_PATH", str(dotenv))
    assert load_settings().name == "from the file"


def test_a_slip_of_the_pen_is_refused_by_name_wherever_it_stands(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dotenv.open("a") as file:
        file.write("QUEUE_SERVICE_PASWORD_FILE=x\n")
    with pytest.raises(BadInput, match="no setting QUEUE_SERVICE_PASWORD_FILE") as refused:
        load_settings(dotenv)
    assert "QUEUE_SERVICE_PASSWORD_FILE?" in refused.value.remedy
    monkeypatch.setenv("QUEUE_SERVICE_PUBLIC_KEY", "x")
    with pytest.raises(BadInput, match="from the environment"):
        load_settings()


def test_what_kubernetes_says_of_a_service_of_this_name_is_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "HOST": "10.0.0.7",
        "PORT": "tcp://10.0.0.7:80",
        "SERVICE_PORT_HTTP": "80",
        "PORT_80_TCP_ADDR": "10.0.0.7",
    }.items():
        monkeypatch.setenv(f"QUEUE_SERVICE_{name}", value)
    assert load_settings().listen_port == 8002


def test_no_secret_is_in_a_repr_an_error_or_a_table(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TOKEN", "PASSWORD", "PRIVATE_KEY", "AMQP_URL", "ARGO_TOKEN"):
        monkeypatch.setenv(f"QUEUE_SERVICE_{name}", SECRET)
    settings = load_settings(dotenv)
    assert settings.store is not None
    assert SECRET in settings.store.get_secret_value()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {table()}"
    monkeypatch.setenv("QUEUE_SERVICE_KEEP_DAYS", SECRET)
    with pytest.raises(BadInput, match="QUEUE_SERVICE_KEEP_DAYS is not right") as refused:
        load_settings(dotenv)
    assert SECRET not in str(refused.value)
    assert not [field for field in OF_THE_ENVIRONMENT if flag_of(field)]


def test_a_file_that_is_not_there_is_said_and_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read: No such file"):
        load_settings(tmp_path / "nowhere.env")


def test_the_table_has_each_setting_once_and_says_what_it_means() -> None:
    rows = [re.split(r"\s*\|\s*", row.strip("| ")) for row in table().splitlines()[2:]]

    assert len(rows) == len(QueueServiceSettings.model_fields)
    assert len({row[0] for row in rows}) == len(rows)
    assert all(row[-1] for row in rows)


def test_nobody_is_asked_who_comes_unless_something_says_so() -> None:
    assert authenticator_of(load_settings()) is None


def test_keys_and_passwords_of_the_settings_open_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (make_pair(tmp_path / name) for name in ("one", "two"))
    put_password(tmp_path / "passwords", "ada", ["sdapi"], SECRET)
    monkeypatch.setenv("QUEUE_SERVICE_PUBLIC_KEYS", f"{first[1]}, {second[1]}")
    monkeypatch.setenv("QUEUE_SERVICE_PASSWORD_FILE", str(tmp_path / "passwords"))
    monkeypatch.setenv("QUEUE_SERVICE_AUDIENCE", "none")
    settings = load_settings()
    authenticator = authenticator_of(settings)
    assert isinstance(authenticator, Authenticator)
    for private, _ in (first, second):
        token = sign_token(
            load_private(private), subject="ada", scopes=[], audience=audience_of(settings)
        )
        bearer = [(b"authorization", f"Bearer {token}".encode())]
        assert authenticator.check(bearer).subject == "ada"
    authenticator.close()

    pem = first[1].read_text()
    monkeypatch.setenv("QUEUE_SERVICE_PUBLIC_KEYS", f"{pem},{second[1]}")
    assert load_settings().public_keys == (pem.strip(), str(second[1]))
    assert load_settings(public_keys=("a", "b")).public_keys == ("a", "b")


def test_a_client_trusts_the_certificates_that_the_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certified(tmp_path)
    monkeypatch.setenv("QUEUE_SERVICE_CA_FILE", str(certificate))
    with (
        QueueService.at(f"sqlite:///{tmp_path / 'builds.db'}") as service,
        serving(create_app(service), certificate=certificate, key=key) as url,
    ):
        address = url.replace("127.0.0.1", "localhost")
        with client_of(load_settings(url=address)) as client:
            client.ready()
        monkeypatch.delenv("QUEUE_SERVICE_CA_FILE")
        with (
            client_of(load_settings(url=address), retries=0) as client,
            pytest.raises(StoreUnreachable, match="certificate verify failed"),
        ):
            client.ready()


def test_a_client_is_made_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUE_SERVICE_USER", "ada")
    monkeypatch.setenv("QUEUE_SERVICE_PASSWORD", SECRET)
    with client_of(load_settings(url="queue.example:80")) as client:
        assert client.url == "http://queue.example:80/v1/"
    monkeypatch.setenv("QUEUE_SERVICE_CA_FILE", __file__)
    with pytest.raises(BadInput, match="certificates in"):
        client_of(load_settings())
    monkeypatch.delenv("QUEUE_SERVICE_CA_FILE")
    monkeypatch.setenv("QUEUE_SERVICE_TOKEN", "t")
    with pytest.raises(BadInput, match="by a token, or by a user"):
        client_of(load_settings())
