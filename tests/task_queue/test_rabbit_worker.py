"""The worker behind a broker: qprocessors do the work, and the outcome comes back, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from labs.broker import connection
from labs.broker.address import Address
from labs.broker.binaries import Binaries
from labs.broker.node import PrivateNode
from labs.broker.ports import free_port
from labs.errors import BadInput
from labs.task_queue.memory import MemoryQueue
from labs.task_queue.stages import Stage
from labs.task_queue.work_queue import WorkQueue
from labs.task_queue.workers.base import JobRefused, WorkerUnreachable
from labs.task_queue.workers.rabbit import RabbitWorker
from tests.qprocessor.running import Qprocessor
from tests.support import count, wait_until

BODY = {"n": 1}
WORKING = ("--queue", "tasks", "--acknowledge", "--prefetch", "1", "--delay", "0.001")

Make = Callable[..., RabbitWorker]


@pytest.fixture
def make(vhost: Address) -> Iterator[Make]:
    """Make workers in the test's virtual host."""
    made: list[RabbitWorker] = []

    def one(name: str = "one", **settings: Any) -> RabbitWorker:
        made.append(RabbitWorker(vhost.url, name=name, **settings))
        return made[-1]

    yield one
    for worker in made:
        worker.close()


@pytest.fixture
def worker(make: Make) -> RabbitWorker:
    return make()


@pytest.fixture
def qprocessor(vhost: Address, tmp_path: Path) -> Iterator[Qprocessor]:
    starter = Qprocessor(tmp_path, vhost.url)
    yield starter
    starter.end_all()


class Hand:
    """Somebody who works by hand: takes messages, and answers as told."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def take(self) -> pika.BasicProperties:
        with connection.connected(self.address) as broker:
            _, properties, body = broker.channel().basic_get("tasks", auto_ack=True)
        assert properties
        assert body == json.dumps(BODY).encode()
        return properties

    def answer(self, to: pika.BasicProperties, body: bytes, *, type_: str | None = None) -> None:
        properties = pika.BasicProperties(correlation_id=to.correlation_id, type=type_)
        with connection.connected(self.address) as broker:
            channel = broker.channel()
            channel.confirm_delivery()
            channel.basic_publish("", to.reply_to or "", body, properties, mandatory=True)


@pytest.fixture
def hand(vhost: Address) -> Hand:
    return Hand(vhost)


def heard(worker: RabbitWorker, id_: str) -> Stage:
    """How the job has ended, once that is heard."""
    wait_until(lambda: worker.poll_all_status()[id_] is not Stage.PROCESSING, 30)
    return worker.poll_all_status()[id_]


# --- The two halves meet ----------------------------------------------------------------------


def test_tasks_are_worked_on_by_qprocessors(worker: RabbitWorker, qprocessor: Qprocessor) -> None:
    queue = MemoryQueue()
    queue.put({f"task {n}": {"n": n} for n in range(12)})
    work = WorkQueue(queue, worker)
    work.push_next_jobs(12)
    alice, bob = qprocessor.start(*WORKING), qprocessor.start(*WORKING)

    def all_are_settled() -> bool:
        work.update_job_status()
        return queue.size(Stage.SUCCESS) == 12

    wait_until(all_are_settled, 60)
    assert queue.lookup_task("task 7").result == "done"
    alice.stop()
    bob.stop()
    assert sorted(alice.done + bob.done) == sorted(json.dumps({"n": n}) for n in range(12))


def test_a_task_that_its_workers_die_of_has_failed(make: Make, qprocessor: Qprocessor) -> None:
    worker = make(max_deliveries=2)
    worker.send_job("poison", BODY)
    for _ in range(2):
        assert qprocessor.run(*WORKING, "--crash-every", "1").process.returncode == 137
    assert heard(worker, "poison") is Stage.FAIL
    assert "given the message up" in worker.explain("poison").reason


def test_a_task_whose_worker_dies_is_done_by_another(
    worker: RabbitWorker, qprocessor: Qprocessor
) -> None:
    worker.send_job("task", BODY)
    qprocessor.run(*WORKING, "--crash-every", "1")
    assert worker.poll_all_status() == {"task": Stage.PROCESSING}
    qprocessor.start(*WORKING)
    assert heard(worker, "task") is Stage.SUCCESS


# --- Messages and outcomes --------------------------------------------------------------------


def test_a_task_is_a_persistent_message_that_says_where_its_outcome_goes(
    worker: RabbitWorker, hand: Hand
) -> None:
    worker.send_job("the task", BODY)
    message = hand.take()
    assert message.delivery_mode == 2
    assert message.content_type == "application/json"
    assert message.reply_to == "tasks.outcomes.one"
    assert (message.headers or {})["task-id"] == "the task"
    assert message.correlation_id == message.message_id


def test_an_answer_may_say_what_came_of_it(worker: RabbitWorker, hand: Hand) -> None:
    answers = {
        "json": (b'{"rows": 3}', None),
        "text": (b"42 rows", None),
        "bad": (b"No!", "failed"),
    }
    for id_, (body, type_) in answers.items():
        worker.send_job(id_, BODY)
        hand.answer(hand.take(), body, type_=type_)
    assert heard(worker, "json") is heard(worker, "text") is Stage.SUCCESS
    assert heard(worker, "bad") is Stage.FAIL
    assert worker.explain("json").result == {"rows": 3}
    assert worker.explain("text").result == "42 rows"
    assert worker.explain("bad").reason == "No!"


def test_an_outcome_that_comes_twice_counts_once(
    worker: RabbitWorker, hand: Hand, vhost: Address
) -> None:
    worker.send_job("task", BODY)
    message = hand.take()
    hand.answer(message, b"1")
    hand.answer(message, b"2", type_="failed")
    assert heard(worker, "task") is Stage.SUCCESS
    assert worker.explain("task").result == 1
    worker.delete_job("task")
    assert worker.poll_all_status() == {}
    worker.close()
    assert count(vhost, "tasks.outcomes.one") == 0


def test_an_answer_to_an_earlier_message_of_a_task_is_not_taken_for_this_ones(
    worker: RabbitWorker, hand: Hand
) -> None:
    worker.send_job("task", BODY)
    earlier = hand.take()
    worker.delete_job("task")
    worker.send_job("task", BODY)
    hand.answer(earlier, b"old", type_="failed")
    hand.answer(hand.take(), b"new")
    assert heard(worker, "task") is Stage.SUCCESS
    assert worker.explain("task").result == "new"


def test_outcomes_of_unknown_jobs_are_taken_and_ignored(
    worker: RabbitWorker, hand: Hand, vhost: Address
) -> None:
    worker.poll_all_status()
    for correlation_id in ("somebody's", "", None):
        to = pika.BasicProperties(correlation_id=correlation_id, reply_to="tasks.outcomes.one")
        hand.answer(to, b"done")

    def nothing_is_left() -> bool:
        assert worker.poll_all_status() == {}
        worker.close()
        return count(vhost, "tasks.outcomes.one") == 0

    wait_until(nothing_is_left, 30)


# --- Who dies, and who comes back -------------------------------------------------------------


def test_what_was_heard_and_not_settled_is_heard_by_the_next(make: Make, hand: Hand) -> None:
    first = make()
    for id_ in ("heard", "unheard"):
        first.send_job(id_, BODY)
    answered = hand.take()
    hand.answer(answered, b"1")
    assert heard(first, "heard") is Stage.SUCCESS
    first.close()  # without a word that it is settled
    hand.answer(hand.take(), b"2")
    again = make()
    again.take_up(["heard", "unheard"], ["never sent"])
    assert heard(again, "heard") is heard(again, "unheard") is Stage.SUCCESS
    assert again.explain("unheard").result == 2
    assert "never sent" not in again.poll_all_status()


def test_a_controller_that_dies_leaves_its_tasks_to_the_next(
    make: Make, qprocessor: Qprocessor
) -> None:
    queue = MemoryQueue()
    queue.put({f"task {n}": {"n": n} for n in range(3)})
    first = make()
    WorkQueue(queue, first).push_next_jobs(3)
    first.close()
    again = WorkQueue(queue, make())
    again.update_job_status()
    assert again.jobs.keys() == {"task 0", "task 1"}
    again.push_next_jobs()  # the newest may not have been sent, and is sent again
    qprocessor.start(*WORKING)

    def all_are_settled() -> bool:
        again.update_job_status()
        return queue.size(Stage.SUCCESS) == 3

    wait_until(all_are_settled, 60)
    assert again.jobs == {}


def test_two_of_one_name_can_not_take_each_others_outcomes(
    make: Make, worker: RabbitWorker
) -> None:
    worker.poll_all_status()
    twin = make()
    with pytest.raises(WorkerUnreachable, match="Somebody else hears") as refused:
        twin.poll_all_status()
    assert "name of its own" in refused.value.remedy
    worker.close()
    assert twin.poll_all_status() == {}


def test_workers_of_two_names_share_the_consumers_and_not_the_outcomes(
    make: Make, hand: Hand
) -> None:
    one, two = make("one"), make("two")
    one.send_job("task", BODY)
    two.send_job("task", BODY)
    hand.answer(hand.take(), b"1")
    hand.answer(hand.take(), b"2")
    assert heard(one, "task") is heard(two, "task") is Stage.SUCCESS
    assert (one.explain("task").result, two.explain("task").result) == (1, 2)
    assert one.backend != two.backend


def test_a_queue_that_was_deleted_is_made_anew(
    worker: RabbitWorker, vhost: Address, hand: Hand
) -> None:
    worker.send_job("task", BODY)
    with connection.connected(vhost) as broker:
        broker.channel().queue_delete("tasks")
    worker.send_job("another", BODY)
    hand.answer(hand.take(), b"1")
    assert heard(worker, "another") is Stage.SUCCESS


def test_a_connection_that_was_lost_meanwhile_is_made_anew(
    worker: RabbitWorker, hand: Hand
) -> None:
    worker.send_job("task", BODY)
    assert worker._channel
    worker._channel.connection.close()
    assert worker.poll_all_status() == {"task": Stage.PROCESSING}
    hand.answer(hand.take(), b"1")
    assert heard(worker, "task") is Stage.SUCCESS


def test_a_broker_that_restarts_in_the_middle_loses_no_task(
    binaries: Binaries, tmp_path: Path
) -> None:
    node = PrivateNode(
        tmp_path / "node",
        binaries=binaries,
        amqp_port=free_port(),
        extra_config="max_message_size = 100000\n",
        management=False,
    )
    address = node.start()
    qprocessor = Qprocessor(tmp_path, address.url)
    worker = RabbitWorker(address.url, name="one")
    queue = MemoryQueue()
    queue.put({f"task {n}": {"n": n} for n in range(10)} | {"large": "x" * 200_000})
    work = WorkQueue(queue, worker, first_pause_s=0.1)
    try:
        # RabbitMQ 3.10, killed within half a second of a queue's declaration, loses the queue.
        worker.poll_all_status()
        node.restart_inside()
        work.push_next_jobs(11)
        assert "refuses the message" in queue.lookup_task("large").reason
        assert queue.size(Stage.PROCESSING) == 10
        qprocessor.start(*WORKING, "--reconnect", "--max-messages", "3")

        def settled(n: int) -> bool:
            work.update_job_status()
            return queue.size(Stage.SUCCESS) >= n

        wait_until(lambda: settled(2), 60)
        node.kill()
        queue.put({"late": {}})
        assert work.push_next_jobs() == []
        assert work.trouble
        node.start()
        qprocessor.start(*WORKING, "--reconnect")
        wait_until(lambda: settled(10), 60)
        wait_until(lambda: work.push_next_jobs() or settled(11), 60)
        wait_until(lambda: settled(11), 60)
        assert queue.sizes() == {"WAITING": 0, "PROCESSING": 0, "SUCCESS": 11, "FAIL": 1}
    finally:
        worker.close()
        qprocessor.end_all()
        node.wipe()


# --- What can't be ----------------------------------------------------------------------------


def test_a_broker_that_is_not_there_is_told_without_the_password() -> None:
    worker = RabbitWorker(f"amqp://ann:secret@127.0.0.1:{free_port()}/%2F", name="one")
    for ask in (worker.poll_all_status, lambda: worker.send_job("task", {})):
        with pytest.raises(WorkerUnreachable) as told:
            ask()
        assert "secret" not in str(told.value)
        assert told.value.remedy
    assert "secret" not in repr(worker)
    assert worker._jobs == {}


def test_what_can_not_be_meant_is_refused() -> None:
    with pytest.raises(BadInput):
        RabbitWorker("http://example.org")
    settings: dict[str, Any]
    for settings in ({"queue": ""}, {"name": "n" * 250}, {"max_deliveries": 0}):
        with pytest.raises(BadInput):
            RabbitWorker("amqp://localhost", **settings)


def test_refused_is_not_unreachable() -> None:
    assert not issubclass(JobRefused, WorkerUnreachable)
