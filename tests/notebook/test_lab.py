"""The lab that a notebook holds: queues begun anew, predictions, waiting, cleaning up."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.broker.address import Address
from labs.broker.connection import connected
from labs.broker.locate import own_node
from labs.errors import BadInput, BrokerUnreachable, NotPossibleHere, WaitedTooLong
from labs.notebook import Lab
from tests.support import declare, publish


def test_it_says_where_the_broker_is_without_the_password(
    lab: Lab, vhost: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    Lab("another")
    said = capsys.readouterr().out
    assert "RabbitMQ" in said
    assert vhost.shown in said
    assert f":{vhost.password}@" not in said
    assert lab.url == vhost.url


def test_a_broker_that_does_not_answer_is_a_sentence(
    labs_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert labs_home
    monkeypatch.setenv("AMQP_URL", "amqp://guest:secret@127.0.0.1:1/%2F")
    with pytest.raises(BrokerUnreachable) as caught:
        Lab("lost")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


def test_fresh_deletes_what_is_there_and_declares_nothing(lab: Lab, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["from last week"])
    assert lab.fresh("hello") == "hello"
    assert not lab.exists("hello")
    with connected(vhost) as connection:  # declared otherwise: no 406
        connection.channel().queue_declare("hello", durable=True, auto_delete=True)


def test_counting_is_exact_and_a_missing_queue_holds_nothing(lab: Lab, vhost: Address) -> None:
    assert lab.count("hello") == 0
    declare(vhost, "hello")
    lab.fresh("other")
    publish(vhost, "hello", ["a", "b"])
    assert lab.count("hello") == 2
    lab.wait_until_ready("hello", 2)


def test_waiting_for_another_number_says_what_there_is(lab: Lab, vhost: Address) -> None:
    declare(vhost, "hello")
    publish(vhost, "hello", ["a", "b"])
    with pytest.raises(WaitedTooLong, match="there are 2 messages ready in 'hello', not 1"):
        lab.wait_until_ready("hello", 1, timeout_s=0.1)


def test_cleaning_up_deletes_what_the_notebook_used_and_nothing_else(
    lab: Lab, vhost: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.fresh("mine")
    declare(vhost, "mine")
    declare(vhost, "not mine")
    workers = lab.workers(queue="worked on")
    lab.clean_up()
    assert (
        "Cleaned up: 1 worker stopped, queues mine, worked on deleted." in capsys.readouterr().out
    )
    assert not workers["alice"].is_running
    assert not lab.exists("mine")
    assert lab.exists("not mine")
    lab.clean_up()
    assert "Cleaned up: nothing was left." in capsys.readouterr().out


def test_the_next_run_cleans_up_what_the_last_one_left(
    lab: Lab, vhost: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.fresh("mine")
    declare(vhost, "mine")
    left = lab.workers(queue="mine")["alice"]
    again = Lab("test-notebook")
    assert "after the last run: 1 worker stopped, queue mine deleted." in capsys.readouterr().out
    assert not again.exists("mine")
    left.stop()
    assert not left.is_running


def test_a_prediction_is_shown_beside_the_outcome(
    lab: Lab, vhost: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vhost
    lab.predict("lost", "Of nine, how many are done?", 9)
    Lab("test-notebook").outcome("lost", 6, "Most people say nine.")
    said = capsys.readouterr().out
    assert "Your prediction: 9" in said
    assert "prediction 9\noutcome    6\nNot as predicted. Most people say nine." in said


def test_on_a_class_server_the_broker_is_not_restarted_and_the_lab_says_why(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not lab.needs("restart the broker")
    assert "not started by this lab" in capsys.readouterr().out
    with pytest.raises(NotPossibleHere, match="not started by this lab"):
        lab.restart_broker()
    assert not lab.needs("the management API")
    with pytest.raises(BadInput):
        lab.needs("a pony")


@pytest.mark.slow
def test_without_a_broker_the_lab_starts_its_own_and_may_restart_it(
    labs_home: Path, binaries: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labs_home
    assert binaries
    try:
        lab = Lab("durability")
        assert "this lab's own" in capsys.readouterr().out
        assert lab.needs("restart the broker")
        assert lab.needs("the management API")
        declare(lab.address, lab.fresh("durable"), durable=True)
        declare(lab.address, lab.fresh("gone"), durable=False)
        publish(lab.address, "durable", ["kept"], persistent=True)
        lab.restart_broker()
        assert lab.count("durable") == 1
        assert not lab.exists("gone")
        lab.clean_up()
    finally:
        own_node().wipe()
