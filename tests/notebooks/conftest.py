"""The desks at which the notebooks are tested; how a notebook's test is written.

A notebook's test runs it with a real kernel on a real broker and asserts the
notebook's point on the values that are in the kernel then. Three desks:

- `at_home`: the broker is the lab's own, a private node that `labs up` has started: the
  management API answers, the broker may be restarted. (Where `LABS_TEST_BROKER_URL` names
  another broker, it takes its place, by its URL: `at_home.own_broker` is False then.)
- `in_class`: an ordinary user with a URL, a vhost of their own and nothing else: no
  management API, no right to restart anything.
- `without_broker`: no broker can be found, for a notebook that needs none.

A file per notebook, such as test_03_acknowledgements.py, has two tests at least:

    from tests.notebooks.desk import Desk, assert_clean

    NAME = "03-acknowledgements"

    def test_lost_messages_come_back_if_they_were_not_acknowledged(at_home: Desk) -> None:
        at_home.run_half_and_kill(NAME)                  # a restart in the middle
        with at_home.run(NAME) as run:                   # then top to bottom
            assert run.value("careless.lost") == ["3", "6", "9"]   # any expression; JSON comes back
            assert run.value("lab.count('careless')") == 0         # also calls
            assert "redelivered" in run.words("again")   # what the cell of this id shows, as text
            assert "3 lost" in run.pictures("picture-lost")[0]     # a picture's text alternative
            assert_clean(run, at_home)                   # last: no errors, no secrets, nothing left

    def test_in_class_it_runs_and_says_what_cant_be_done(in_class: Desk) -> None:
        with in_class.run(NAME) as run:
            assert "class server" in run.words("restart")
            assert_clean(run, in_class)

Keep what a test asks for in a variable of the notebook with a plain name. A cell
that is meant to fail catches its error and prints it, since a cell that raises fails
the run. Short delays: a notebook's tests together take less than a minute.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labs.broker.address import Address, parse_amqp_url
from labs.broker.management import Management
from tests.notebooks.desk import NOBODY, ROOT, Desk, kernel_environment


@pytest.fixture
def in_class(vhost: Address, broker: Address, tmp_path: Path) -> Desk:
    """A learner in a class: an ordinary user in a vhost of their own, by URL and nothing else."""
    home = tmp_path / "labs home"
    # A password that is no other word too, so that one shown by accident is found.
    vhost = replace(vhost, password=secrets.token_hex(8), management_url=None)
    with Management(broker) as management:
        management.create_user(vhost.username, vhost.password)
    return Desk(
        home=home,
        address=vhost,
        administrator=broker.in_vhost(vhost.vhost),
        environment=kernel_environment(home, vhost),
        own_broker=False,
    )


@pytest.fixture(scope="session")
def own_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """A lab whose broker `labs up` has started; one for all notebooks, as for a learner."""
    request.getfixturevalue("binaries")  # without an installed RabbitMQ there is none
    home = tmp_path_factory.mktemp("own lab") / ".labs"
    environment = kernel_environment(home)

    def labs(*words: str) -> None:
        command = [sys.executable, "-m", "labs", *words]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    labs("up", "--with", "native")
    known = json.loads((home / "state.json").read_text())
    address = replace(parse_amqp_url(known["url"]), management_url=known["management_url"])
    yield Desk(home, address, address, environment, own_broker=True)
    labs("down", "--wipe")


@pytest.fixture
def at_home(request: pytest.FixtureRequest) -> Desk:
    """A learner at home, with the lab's own broker."""
    given = "LABS_TEST_BROKER_URL" in os.environ and "LABS_RABBITMQ" not in os.environ
    desk: Desk = request.getfixturevalue("in_class" if given else "own_lab")
    return desk


@pytest.fixture
def without_broker(tmp_path: Path) -> Desk:
    """A desk at which no broker can be found: nobody is where AMQP_URL says."""
    home, nobody = tmp_path / "labs home", parse_amqp_url(NOBODY)
    return Desk(home, nobody, nobody, kernel_environment(home, nobody), own_broker=False)
