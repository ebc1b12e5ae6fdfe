"""Durability: what survives a restart of the broker, and what a publisher is told."""

from __future__ import annotations

from tests.notebooks.desk import Desk, Run, assert_clean

NAME = "04-durability"


def test_only_the_persistent_message_in_the_durable_queue_survives(at_home: Desk) -> None:
    at_home.run_half_and_kill(NAME)
    with at_home.run(NAME) as run:
        assert run.value("restarted") == at_home.own_broker
        if at_home.own_broker:
            assert_what_survived(run)
        assert_what_a_publisher_is_told(run)
        assert_clean(run, at_home)


def test_in_class_it_says_why_there_is_no_restart_and_what_it_would_show(in_class: Desk) -> None:
    with in_class.run(NAME) as run:
        assert "can't restart it" in run.words("restart")
        assert "not from this broker" in run.words("table")
        assert "redelivered: True      (not from this broker)" in run.words("look-held")
        assert run.value("[restarted, survivors, flags]") == [False, None, None]
        assert_what_a_publisher_is_told(run)
        assert_clean(run, in_class)


def assert_what_survived(run: Run) -> None:
    """Queue and message must both be kept; a quorum queue keeps every message."""
    assert run.value("boxes") == ["box-transient", "box-durable", "box-quorum"]
    survivors = run.value("survivors")
    assert survivors["box-transient"] is None
    assert list(survivors["box-durable"]) == ["persistent"]
    assert sorted(survivors["box-quorum"]) == ["persistent", "transient"]
    assert "404 NOT_FOUND - no queue 'box-transient'" in run.words("look")
    assert "outcome    1" in run.words("outcome")
    assert "Ready: 2 at first, at most 2" in run.pictures("picture")[0]
    assert "1 at the end" in run.pictures("picture")[0]
    # The flag: set for what was out with somebody, not for what nobody had been sent.
    assert run.value("flags") == {"held": True, "never touched": False}


def assert_what_a_publisher_is_told(run: Run) -> None:
    """Unroutable is confirmed unless mandatory; without confirms nobody hears the broker's no."""
    assert run.value("answers") == {
        "no confirms": "no error",
        "confirms": "no error",
        "confirms, mandatory": "UnroutableError",
    }
    assert run.value("[errors, stored, nacked]") == [0, 1, "NackError"]
    wire = run.pictures("wire-nack")[0]
    assert "the broker to notebook: refuse (nack) order 5" in wire
    assert wire.count("order 4") == 1, "nothing comes back for it"
    assert run.value("consumers") == 0
    assert "Consumers: 0. In the queue: 1." in run.words("run-stored")
