"""TLS, as on a class server: a broker with a certificate, trusted by this machine or not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from labs.broker import ports
from labs.broker.address import Address
from labs.broker.binaries import Binaries
from labs.broker.connection import log_in
from labs.broker.node import PrivateNode
from labs.errors import BrokerUnreachable
from tests import support
from tests.conftest import missing
from tests.qprocessor.running import Qprocessor


@dataclass(frozen=True)
class SecureBroker:
    """A broker that listens with TLS too, and the authority that vouches for it."""

    plain: Address
    secure: Address
    authority: Path


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)


@pytest.fixture(scope="module")
def secure_broker(
    binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecureBroker]:
    if shutil.which("openssl") is None:
        missing("no openssl is installed")
    folder = tmp_path_factory.mktemp("tls")
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(
        folder,
        *(*new, "-keyout", "key.pem", "-out", "certificate.pem", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost"),
    )
    port = ports.free_port()
    configuration = f"""
        listeners.ssl.1 = 127.0.0.1:{port}
        ssl_options.certfile = {folder}/certificate.pem
        ssl_options.keyfile = {folder}/key.pem
    """
    lines = "\n".join(line.strip() for line in configuration.splitlines())
    node = PrivateNode(folder / "node", binaries=binaries, extra_config=lines, management=False)
    plain = node.start()
    secure = replace(plain, host="localhost", port=port, tls=True)
    yield SecureBroker(plain, secure, folder / "certificate.pem")
    node.wipe()


def test_a_certificate_that_this_machine_trusts_is_enough(
    secure_broker: SecureBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = {"SSL_CERT_FILE": str(secure_broker.authority)}
    support.declare(secure_broker.plain, "secrets")
    support.publish(secure_broker.plain, "secrets", ["whisper", "hush"])

    # by the URL's scheme, and by --tls
    by_url = Qprocessor(tmp_path, secure_broker.secure.url)
    flags = ["--queue", "secrets", "--acknowledge", "--max-messages", "1", "--delay", "0"]
    assert by_url.run(*flags, environment=trusting).done == ["whisper"]
    by_flag = Qprocessor(tmp_path, secure_broker.plain.url)
    where = ["--host", "localhost", "--port", str(secure_broker.secure.port), "--tls"]
    assert by_flag.run(*flags, *where, environment=trusting).done == ["hush"]

    for name, value in trusting.items():
        monkeypatch.setenv(name, value)
    assert log_in(secure_broker.secure).product == "RabbitMQ"


def test_a_certificate_that_nobody_vouches_for_is_refused_with_a_sentence(
    secure_broker: SecureBroker, tmp_path: Path
) -> None:
    starter = Qprocessor(tmp_path, secure_broker.secure.url)
    ran = starter.run("--queue", "secrets", "--idle-timeout", "5")
    assert ran.wait() == 6
    assert "trust the certificate" in ran.err
    assert "Traceback" not in ran.err
    with pytest.raises(BrokerUnreachable) as refused:
        log_in(secure_broker.secure)
    assert "certificate" in f"{refused.value} {refused.value.remedy}".lower()
