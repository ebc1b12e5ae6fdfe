"""Where trials run: made for the trial, able to do what it says, and gone after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from labs.broker import locate
from labs.broker.address import Address
from labs.broker.binaries import Binaries
from labs.broker.connection import connected, log_in, look, publish, take_all
from labs.broker.management import Management
from labs.broker.node import PrivateNode
from labs.broker.state import FoundBroker, Source
from labs.cli import down
from labs.errors import BrokerUnreachable, NotPossibleHere, WaitedTooLong
from labs.judge import ground as grounds
from labs.judge.ground import Fresh, Shared, Spare, ground_for
from labs.judge.leftovers import Note
from labs.waiting import wait_until
from tests.support import declare


@pytest.fixture
def note(tmp_path: Path) -> Note:
    return Note("a-mark", "a-broker", tmp_path / "notes")


@pytest.fixture(scope="module")
def spare(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    node = PrivateNode(
        tmp_path_factory.mktemp("spare") / "node", binaries=binaries, management=False
    )
    yield node
    node.wipe()


def vhosts(broker: Address) -> set[str]:
    with Management(broker) as management:
        return {str(vhost["name"]) for vhost in management.vhosts()}


def test_a_fresh_ground_is_a_vhost_with_its_own_user_and_both_are_gone_afterwards(
    broker: Address, note: Note, tmp_path: Path
) -> None:
    with Fresh(broker, "work", note) as ground:
        assert ground.address.vhost in vhosts(broker)
        assert ground.address.username != broker.username
        assert ground.address.password not in (broker.password, ground.address.username)
        declare(ground.address, "work")
        assert ground.address.vhost in (tmp_path / "notes" / "a-mark.json").read_text()
        with pytest.raises(BrokerUnreachable):  # its user has no business elsewhere
            log_in(replace(ground.address, vhost=broker.vhost))
    assert ground.address.vhost not in vhosts(broker)
    with pytest.raises(BrokerUnreachable):
        log_in(replace(ground.address, vhost=broker.vhost))
    note.forget()
    assert list((tmp_path / "notes").iterdir()) == []


def test_the_ground_goes_though_the_trial_fails(broker: Address, note: Note) -> None:
    with pytest.raises(KeyboardInterrupt), Fresh(broker, "work", note) as ground:
        raise KeyboardInterrupt
    assert ground.address.vhost not in vhosts(broker)


def test_the_broker_closes_the_programs_connections_at_once(broker: Address, note: Note) -> None:
    with Fresh(broker, "work", note) as ground, connected(ground.address) as connection:
        assert len(ground.connections()) == 1
        ground.close_connections()

        def closed() -> bool:
            try:
                connection.process_data_events(time_limit=0)
            except Exception as error:  # noqa: BLE001  whatever pika calls it
                return "closed by the judge" in repr(error)
            return False

        wait_until(closed, 20.0)


def test_what_is_unacknowledged_is_known_exactly(broker: Address, note: Note) -> None:
    with Fresh(broker, "work", note) as ground:
        declare(ground.address, "work")
        publish(ground.address, "work", [("one", "1"), ("two", "2"), ("three", "3")])
        with connected(ground.address) as connection:
            channel = connection.channel()
            channel.basic_get("work")
            channel.basic_get("work")
            assert ground.unacknowledged("work") == 2
        wait_until(lambda: ground.unacknowledged("work") == 0, 20.0)
        assert ground.unacknowledged("no such queue") is None


def test_a_shared_ground_has_names_of_its_own_and_takes_away_only_them(
    vhost: Address, note: Note
) -> None:
    declare(vhost, "of the learner")
    with Shared(vhost, "work", note) as ground, Shared(vhost, "work", note) as other:
        assert ground.queue != other.queue
        for queue in (ground.queue, f"{ground.queue}.failed", other.queue):
            declare(vhost, queue)
        for impossible in (ground.restart, ground.connections, ground.close_connections):
            with pytest.raises(NotPossibleHere):
                impossible()
    assert look(vhost, ground.queue) is None
    assert look(vhost, f"{ground.queue}.failed") is None
    assert look(vhost, "of the learner") is not None


def test_an_administrator_gets_a_fresh_vhost_and_a_learner_their_own(
    broker: Address, vhost: Address, note: Note
) -> None:
    learner = FoundBroker(vhost, Source.SERVER)
    without_management = FoundBroker(replace(broker, management_url=None), Source.SERVER)
    assert isinstance(ground_for(FoundBroker(broker, Source.SERVER), "work", note), Fresh)
    assert isinstance(ground_for(FoundBroker(broker, Source.NATIVE), "work", note), Fresh)
    assert isinstance(ground_for(learner, "work", note), Shared)
    assert isinstance(ground_for(without_management, "work", note), Shared)


def test_only_a_broker_of_ones_own_is_restarted(
    broker: Address, note: Note, monkeypatch: pytest.MonkeyPatch, labs_home: Path
) -> None:
    del labs_home
    monkeypatch.setattr(grounds, "installed", lambda: None)
    with pytest.raises(NotPossibleHere):
        ground_for(FoundBroker(broker, Source.SERVER), "work", note, restarts=True)
    container = ground_for(FoundBroker(broker, Source.DOCKER), "work", note, restarts=True)
    assert isinstance(container, Fresh)
    monkeypatch.setattr(grounds, "installed", lambda: object())
    spare = ground_for(FoundBroker(broker, Source.SERVER), "work", note, restarts=True)
    assert isinstance(spare, Spare)


def test_a_fresh_ground_on_a_strangers_broker_is_not_restarted(broker: Address, note: Note) -> None:
    with Fresh(broker, "work", note) as ground, pytest.raises(NotPossibleHere):
        ground.restart()


def test_a_restart_of_the_spare_broker_keeps_what_is_durable_and_persistent_and_nothing_else(
    spare: PrivateNode, note: Note
) -> None:
    with Spare(spare, "work", note) as ground:
        declare(ground.address, "durable")
        declare(ground.address, "transient", durable=False)
        publish(ground.address, "durable", [("kept", "1")])
        with connected(ground.address) as connection:
            connection.channel().basic_publish("", "durable", b"transient message")
        before = spare.pid
        assert "orderly" in ground.restart()
        assert spare.pid == before
        assert [one.body for one in take_all(ground.address, "durable")] == [b"kept"]
        assert look(ground.address, "transient") is None
    assert spare.is_running()  # for the next check
    with pytest.raises(BrokerUnreachable):
        log_in(ground.address)


def test_two_checks_take_turns_with_the_spare_broker(
    spare: PrivateNode, note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one would restart it under the other's program."""
    monkeypatch.setattr(grounds, "BUSY_TIMEOUT_S", 0.1)
    late = Spare(spare, "work", note)
    with Spare(spare, "work", note), pytest.raises(WaitedTooLong, match="another check"):
        late.__enter__()
    with Spare(spare, "work", note):
        pass


def test_labs_down_ends_the_spare_broker(labs_home: Path, binaries: Binaries) -> None:
    del labs_home, binaries
    node = locate.spare_node()
    node.start()
    try:
        assert CliRunner().invoke(down.command).exit_code == 0
        assert not node.is_running()
    finally:
        node.wipe()


def test_a_message_taken_out_comes_with_all_that_it_carries(vhost: Address) -> None:
    declare(vhost, "work")
    assert publish(vhost, "work", [("grüße 🐇", "id-1")])
    (taken,) = take_all(vhost, "work")
    assert (taken.body.decode(), taken.message_id) == ("grüße 🐇", "id-1")
    assert (taken.delivery_mode, taken.redelivered) == (2, False)
    assert take_all(vhost, "work") == take_all(vhost, "no such queue") == []
    assert not publish(vhost, "no such queue", [("lost", "id-2")])


def test_an_exclusive_queue_is_told_in_words(vhost: Address) -> None:
    with connected(vhost) as connection:
        connection.channel().queue_declare("mine", exclusive=True)
        for try_it in (look, take_all):
            with pytest.raises(NotPossibleHere, match="exclusive"):
                try_it(vhost, "mine")
