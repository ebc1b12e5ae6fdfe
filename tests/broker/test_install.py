"""Installing the package: nothing starts, and the house's own policy comes back.

apt-get is a stand-in that looks at the policy while it "installs"; to what the
package manager itself does with it, Debian's invoke-rc.d is held by Debian.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labs.broker import install, locate
from labs.errors import BrokerMissing

APT = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
  install) {policy}; echo "policy $?" >> {log}; exit {code} ;;
esac
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if os.geteuid() != 0:
        pytest.skip("the stand-in needs no sudo only as root")
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(install, "POLICY", policy)
    return policy


def stand_in(folder: Path, policy: Path, monkeypatch: pytest.MonkeyPatch, *, code: int) -> Path:
    log = folder / "log"
    programs = folder / "bin"
    programs.mkdir()
    apt = programs / "apt-get"
    apt.write_text(APT.format(log=log, policy=policy, code=code))
    apt.chmod(0o755)
    # No systemctl here: the machine's own services are not for a test to touch.
    for name in ("env", "tee", "chmod", "mv", "rm", "sh"):
        (programs / name).symlink_to(f"/usr/bin/{name}" if name != "sh" else "/bin/sh")
    monkeypatch.setenv("PATH", str(programs))
    return log


def test_no_service_starts_while_the_package_is_installed(
    tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.write_text("#!/bin/sh\n# the house's own\nexit 0\n")
    policy.chmod(0o700)
    log = stand_in(tmp_path, policy, monkeypatch, code=0)
    assert install.can_install()

    install.install(lambda _: None)

    assert "rabbitmq-server" in log.read_text()
    assert "policy 101" in log.read_text()
    assert "the house's own" in policy.read_text()
    assert policy.stat().st_mode & 0o777 == 0o700


def test_where_apt_fails_its_words_and_the_other_ways_are_said(
    tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, policy, monkeypatch, code=100)

    with pytest.raises(BrokerMissing) as caught:
        install.install(lambda _: None)

    for way in ("apt-get", "dnf", "brew", "winget", "--with docker", "--url"):
        assert way in caught.value.remedy
    assert not policy.exists()


def test_without_rabbitmq_and_docker_each_way_to_get_one_is_said(
    labs_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.broker.locate.installed", lambda: None)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    with pytest.raises(BrokerMissing) as caught:
        locate.locate()

    assert "apt-get install rabbitmq-server" in caught.value.remedy
    assert not (labs_home / "amqp-url").exists()


def test_without_apt_nothing_can_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert not install.can_install()
