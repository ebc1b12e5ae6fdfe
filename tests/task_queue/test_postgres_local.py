"""A private PostgreSQL: it answers, keeps what is in it, and ends with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from labs.errors import NotPossibleHere
from labs.task_queue import local_postgres
from labs.task_queue.local_postgres import LocalPostgres
from labs.waiting import wait_until
from tests.conftest import missing

OWNER = """
import sys
from labs.task_queue.local_postgres import LocalPostgres
server = LocalPostgres().start()
print(server.url, server._home, flush=True)
sys.stdin.read()
"""


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_it_keeps_what_was_committed_through_a_stop_and_a_crash(
    own_postgres: LocalPostgres,
) -> None:
    url = own_postgres.url
    with psycopg.connect(url) as client:
        client.execute("CREATE TABLE kept AS SELECT 1 AS n")
    own_postgres.restart()
    with psycopg.connect(url) as client:
        client.execute("INSERT INTO kept VALUES (2)")
    own_postgres.crash()
    assert not answers(url)
    own_postgres.start()
    with psycopg.connect(url) as client:
        assert client.execute("SELECT n FROM kept ORDER BY n").fetchall() == [(1,), (2,)]


def test_it_wants_its_password(own_postgres: LocalPostgres) -> None:
    password = own_postgres.url.split(":")[2].partition("@")[0]
    assert not answers(own_postgres.url.replace(password, "guessed"))
    assert password not in repr(own_postgres)


def test_it_ends_with_an_owner_that_is_killed_and_leaves_no_folder() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdout
    said = owner.stdout.readline().split()
    if not said:
        missing("no PostgreSQL is installed, or it does not start")
    url, home = said
    assert answers(url)
    os.kill(owner.pid, signal.SIGKILL)
    owner.communicate()
    wait_until(lambda: not answers(url), 20, what="the server to end with its owner")
    wait_until(lambda: not Path(home).exists(), 20, what="its folder to go")


def test_a_folder_that_is_given_stays_and_is_opened_again(
    own_postgres: LocalPostgres,
) -> None:
    own_postgres.stop()
    assert own_postgres._home
    again = LocalPostgres(own_postgres._home)
    with again:
        assert answers(again.url)
    assert (own_postgres._home / "data").is_dir()


def test_where_none_is_installed_a_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_postgres, "version_of", lambda _: 13)
    with pytest.raises(NotPossibleHere, match="15 or newer is needed") as error:
        LocalPostgres().start()
    assert "apt-get install postgresql" in error.value.remedy
