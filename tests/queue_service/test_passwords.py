"""A lab's password file: written, read, changed while it is used, and no help to who steals it."""

from __future__ import annotations

import logging
import stat
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from labs.errors import BadInput
from labs.queue_service.auth import Login
from labs.queue_service.passwords import (
    REMEMBER_S,
    REMEMBERED,
    PasswordFile,
    put_password,
    remove_password,
)
from labs.task_queue.errors import Unauthorised

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""For tests of all but the hash."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hash that each check was made against."""
    hashes: list[str] = []
    real = PasswordHasher.verify

    def verify(self: PasswordHasher, hashed: str, password: str) -> Any:
        hashes.append(hashed)
        return real(self, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    return hashes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "passwords"
    path.write_text(f"# the lab\n\nann:sdapi,worker:{QUICK.hash('secret')}\n")
    path.chmod(0o600)
    return path


def refused(passwords: PasswordFile, name: str, password: str) -> None:
    with pytest.raises(Unauthorised, match="Wrong name or password") as error:
        passwords.check(Login(name, password))
    assert password not in f"{error.value} {error.value.remedy}"


def test_an_entry_is_written_with_argon2_into_a_file_of_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    assert not put_password(path, "ann", ["sdapi", "worker"], "secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text.startswith("ann:sdapi,worker:$argon2id$")
    assert "secret" not in text
    assert put_password(path, "ann", [], "another")
    principal = PasswordFile(path).check(Login("ann", "another"))
    assert (principal.subject, principal.scopes) == ("ann", frozenset())
    refused(PasswordFile(path), "ann", "secret")
    assert [one.name for one in tmp_path.iterdir()] == ["passwords"]


def test_comments_and_other_entries_stay_when_one_is_written_or_taken_out(file: Path) -> None:
    before = file.read_text()
    put_password(file, "bob", ["sdapi"], "x")
    assert file.read_text().startswith(before)
    assert remove_password(file, "bob")
    assert file.read_text() == before
    assert not remove_password(file, "bob")
    assert not remove_password(file.with_name("nowhere"), "bob")


def test_a_name_that_is_not_there_costs_as_much_as_one_that_is(
    file: Path, verified: list[str]
) -> None:
    """The hash is computed, with the parameters of the file's own hashes."""
    passwords = PasswordFile(file)
    refused(passwords, "nobody", "secret")
    refused(passwords, "ann", "wrong")
    parameters = [hashed.rsplit("$", 2)[0] for hashed in verified]
    assert len(parameters) == 2
    assert parameters[0] == parameters[1]


def test_an_empty_file_lets_nobody_in(tmp_path: Path, verified: list[str]) -> None:
    path = tmp_path / "passwords"
    path.write_text("# nobody yet\n")
    refused(PasswordFile(path), "ann", "guess")
    assert len(verified) == 1


def test_what_a_check_said_holds_for_a_minute_good_or_bad(file: Path, verified: list[str]) -> None:
    clock = Clock()
    passwords = PasswordFile(file, look_s=3600, clock=clock)
    ann, wrong = Login("ann", "secret"), Login("ann", "wrong")
    assert passwords.known(ann) is None
    for _ in range(3):
        assert passwords.check(ann).subject == "ann"
        refused(passwords, "ann", "wrong")
    assert passwords.known(ann) == passwords.check(ann)
    with pytest.raises(Unauthorised):
        passwords.known(wrong)
    assert len(verified) == 2
    clock.now += REMEMBER_S
    assert passwords.known(ann) is passwords.known(wrong) is None


def test_only_so_much_is_remembered(file: Path) -> None:
    passwords = PasswordFile(file)
    for n in range(REMEMBERED + 5):
        refused(passwords, "ann", f"{n}" + "x" * 1024)
    assert len(passwords._remembered) == REMEMBERED


def test_a_changed_file_counts_at_once_and_a_broken_one_changes_nothing(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    passwords = PasswordFile(file, look_s=0)
    assert passwords.check(Login("ann", "secret"))
    before = file.read_text()
    file.write_text("ann:sdapi:half of a ha")
    assert passwords.check(Login("ann", "secret"))
    file.unlink()
    assert passwords.check(Login("ann", "secret"))
    assert "The passwords that were known stay" in caplog.text
    assert "half of" not in caplog.text
    file.write_text(before.replace("ann", "bob"))
    refused(passwords, "ann", "secret")
    assert passwords.check(Login("bob", "secret")).subject == "bob"


def test_a_file_that_others_can_read_is_warned_of(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    PasswordFile(file)
    assert not caplog.records
    file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        PasswordFile(file)
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        "ann",
        "ann:sdapi",
        "ann:sdapi:secret",
        ":sdapi:{}",
        " ann:sdapi:{}",
        "ann:a:b:{}",
        "a\0:s:{}",
    ],
)
def test_a_line_that_can_not_be_meant_is_named_by_its_number_alone(file: Path, line: str) -> None:
    with file.open("a") as more:
        more.write(line.format(QUICK.hash("x")) + "\n")
    with pytest.raises(BadInput, match="Line 4") as error:
        PasswordFile(file)
    assert "secret" not in str(error.value)
    assert "argon2" not in str(error.value)


def test_a_name_twice_is_refused(file: Path) -> None:
    file.write_text(file.read_text() * 2)
    with pytest.raises(BadInput, match="second time"):
        PasswordFile(file)


@pytest.mark.parametrize(
    ("name", "scopes", "password"),
    [
        ("", ["sdapi"], "x"),
        ("a:b", ["sdapi"], "x"),
        ("#ann", ["sdapi"], "x"),
        ("a\nb:c:d", ["sdapi"], "x"),
        ("ann", ["sd api"], "x"),
        ("ann", ["a,b"], "x"),
        ("ann", ["a\nbob:sdapi"], "x"),
        ("ann", [""], "x"),
        ("ann", ["sdapi"], ""),
        ("ann", ["sdapi"], "x" * 1025),
    ],
)
def test_an_entry_that_would_be_another_line_is_not_written(
    file: Path, name: str, scopes: list[str], password: str
) -> None:
    before = file.read_text()
    with pytest.raises(BadInput) as error:
        put_password(file, name, scopes, password)
    assert error.value.remedy
    assert file.read_text() == before


def test_a_file_that_is_not_there_or_not_ours_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        PasswordFile(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="can't be written"):
        put_password(tmp_path / "no" / "folder", "ann", [], "x")
