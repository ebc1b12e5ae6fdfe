"""The controller: what a look does, and that nothing that is out of reach ends it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.errors import BadInput
from labs.stopping import Stop
from labs.task_queue.configuration import load_settings
from labs.task_queue.controller import (
    Controller,
    Round,
    check,
    controller_of,
    open_patiently,
    strategy_of,
)
from labs.task_queue.errors import StoreUnreachable
from labs.task_queue.memory import MemoryQueue
from labs.task_queue.queue import TaskQueue
from labs.task_queue.release import ProcessingLimit, ReleaseAll, ResourceLimit
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim, Page
from labs.task_queue.work_queue import WorkQueue
from labs.task_queue.workers.dummy import DummyWorker
from tests.support import wait_until

TIMEOUT_S = 20.0
AWAY = StoreUnreachable("The database has gone.", remedy="Wait.")


class Fickle(MemoryQueue):
    """A store that can go away."""

    away = False
    asked = 0

    def _get(self, n: int, lease_s: float | None, owner: str | None) -> list[Claim]:
        self._answer()
        return super()._get(n, lease_s, owner)

    def _page(self, stage: Stage, limit: int | None, after: str | None) -> Page:
        self._answer()
        return super()._page(stage, limit, after)

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise AWAY


class Running:
    """A controller in a thread, in a hurry."""

    def __init__(self, queue: TaskQueue, worker: DummyWorker) -> None:
        self.looks: list[Round] = []
        self.stop = Stop()
        work_queue = WorkQueue(queue, worker, first_pause_s=0.01, longest_pause_s=0.05)
        self.controller = Controller(
            work_queue, ProcessingLimit(2), 0.01, first_pause_s=0.01, tell=self.looks.append
        )
        self._thread = threading.Thread(target=self.controller.run, args=(self.stop,))

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.want()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()


def test_a_look_settles_what_has_ended_and_starts_what_may_be_started() -> None:
    queue, worker = MemoryQueue(), DummyWorker()
    queue.put({"a": 1, "b": 2, "c": 3})
    controller = Controller(WorkQueue(queue, worker), ProcessingLimit(2), 10.0)

    first = controller.once()
    worker.mock_success("a")
    worker.mock_fail("b")
    second = controller.once()

    assert (first.started, first.processing) == (("a", "b"), 2)
    assert (second.succeeded, second.failed, second.started) == (("a",), ("b",), ("c",))
    assert first.is_quiet is second.is_quiet is False
    assert controller.once().is_quiet


def test_a_store_that_goes_away_is_said_once_and_work_goes_on_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue, worker = Fickle(), DummyWorker()
    with caplog.at_level(logging.WARNING), Running(queue, worker) as running:
        wait_until(lambda: running.looks, TIMEOUT_S)
        queue.away = True
        asked = queue.asked
        wait_until(lambda: queue.asked >= asked + 4, TIMEOUT_S, what="it to be asked again")
        assert any(look.trouble == str(AWAY) for look in list(running.looks))
        queue.put({"a": 1})
        queue.away = False
        wait_until(lambda: queue.size(Stage.PROCESSING) == 1, TIMEOUT_S)
    said = [record.getMessage() for record in caplog.records]
    assert sum("does not answer" in one for one in said) == 1
    assert sum("answers again" in one for one in said) == 1


def test_a_worker_that_goes_away_is_waited_for_and_no_task_fails() -> None:
    queue, worker = MemoryQueue(), DummyWorker()
    worker.down = True
    with Running(queue, worker) as running:
        queue.put({"a": 1})
        wait_until(lambda: any(look.trouble for look in list(running.looks)), TIMEOUT_S)
        assert queue.size(Stage.FAIL) == 0
        worker.down = False
        wait_until(lambda: "a" in worker.poll_all_status(), TIMEOUT_S)
        worker.mock_success("a")
        wait_until(lambda: queue.size(Stage.SUCCESS) == 1, TIMEOUT_S)


def test_a_store_that_comes_late_is_opened_when_it_is_there_unless_asked_to_stop() -> None:
    stop = Stop()
    tries: Iterator[StoreUnreachable | TaskQueue] = iter([AWAY, MemoryQueue()])

    def opener() -> TaskQueue:
        given = next(tries)
        if isinstance(given, Exception):
            raise given
        return given

    assert isinstance(open_patiently(opener, stop), MemoryQueue)

    def never() -> TaskQueue:
        stop.want()
        raise AWAY

    assert open_patiently(never, stop) is None


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"queue_implementation": "in-memory"}, "always empty"),
        ({"queue_implementation": "sql-json"}, "what shall run"),
        ({"worker_interface": "process"}, "path_to_scripts"),
        ({"worker_interface": "rabbit"}, "amqp_url"),
        ({"worker_interface": "argo-workflows", "endpoint": "http://argo"}, "namespace"),
    ],
)
def test_a_controller_that_can_not_be_meant_is_refused_in_words(
    flags: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AMQP_URL", raising=False)
    with pytest.raises(BadInput, match=words):
        check(load_settings(**flags))


def test_the_settings_say_how_much_is_started() -> None:
    assert strategy_of(load_settings()) == ProcessingLimit(10)
    assert strategy_of(load_settings(processing_limit=0)) == ReleaseAll()
    assert strategy_of(load_settings(resource_limits={"gpus": 2})) == ResourceLimit({"gpus": 2})


def test_the_settings_make_a_controller_that_is_found_again(tmp_path: Path) -> None:
    settings = load_settings(worker_interface="process", path_to_scripts=tmp_path)
    one, two = (controller_of(settings, MemoryQueue(), lambda _: None) for _ in range(2))
    named = settings.model_copy(update={"worker_interface_id": "night-shift"})

    assert one.work_queue.controller == two.work_queue.controller
    assert controller_of(named, MemoryQueue(), lambda _: None).work_queue.controller == (
        "night-shift"
    )
