"""A replica: what becomes of a request, and when exactly its offset is committed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import textwrap
import threading
from typing import Any

import pytest

import labs.request_queue
from labs.errors import BadInput
from labs.request_queue import MemoryLog, RequestEvent, RequestHandler, What, lifecycle_request
from labs.request_queue.requests import LIFECYCLE_FIELDS
from labs.waiting import wait_until
from tests.request_queue.replica import FAILED, RESPONSES, TOPIC, RefusingLog, Replica, records


def done(_: dict[str, Any]) -> bool:
    return True


def broken(_: dict[str, Any]) -> bool:
    raise ValueError("no such server")


def test_a_request_that_is_handled_is_committed_and_no_other_offset() -> None:
    seen: list[dict[int, int]] = []

    def handler(_: dict[str, Any]) -> bool:
        seen.append(replica.committed)
        return True

    replica = Replica(handler)
    place = replica.queues("a")
    replica.queues("a")
    replica.queues("b")
    assert replica.processes() is What.DONE
    assert seen == [{}], "nothing is committed while the handler works"
    assert sum(replica.committed.values()) == 1, "one record's offset, no position of others"
    if replica.saw(What.COMMITTED)[0].partition == place.partition.number:
        assert replica.committed == {place.partition.number: place.offset + 1}


def test_no_request_is_no_error() -> None:
    assert Replica(done).queue.process_request(0.05) is None


def test_a_handler_gets_a_dict_of_its_own_and_may_change_it() -> None:
    def careless(request: dict[str, Any]) -> bool:
        request.clear()
        return False

    replica = Replica(careless, first_pause_s=0.01)
    replica.queues("a", n=1)
    assert replica.processes() is What.PUT_BACK
    first, again = records(replica.log, TOPIC)
    assert first.value == again.value


def test_a_handler_may_be_a_function_or_have_handle_request() -> None:
    class Handler(RequestHandler):
        def handle_request(self, request: dict[str, Any]) -> bool:
            return bool(request["n"] == 1)

    replica = Replica(Handler())  # type: ignore[arg-type]
    replica.queues("a", n=1)
    assert replica.processes() is What.DONE


def test_what_cannot_be_called_is_no_handler() -> None:
    with pytest.raises(BadInput, match="must be callable"):
        Replica("handler")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("no such server"), "ValueError: no such server"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
        (MemoryError(), "MemoryError"),
        (GeneratorExit(), "GeneratorExit"),
    ],
)
def test_whatever_a_handler_raises_is_answered_failed_and_committed(
    raised: BaseException, said: str
) -> None:
    def handler(_: dict[str, Any]) -> bool:
        raise raised

    replica = Replica(handler)
    place = replica.queues("a")
    assert replica.processes() is What.ANSWERED
    (response,) = replica.responses
    assert response["requestId"] == "a"
    assert response["status"] == "FAILED"
    assert response["failureDetails"]["failureCode"] == "INTERNAL_ERROR"
    assert said in response["failureDetails"]["description"]
    assert response["outputs"] == {}
    assert replica.committed == {place.partition.number: 1}
    assert replica.failed == [], "answered is enough"


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_child_that_a_handler_forks_is_no_second_replica() -> None:
    children = []

    def forks(_: dict[str, Any]) -> bool:
        if (child := os.fork()) == 0:
            raise ValueError("in the child")
        children.append(child)
        return True

    replica = Replica(forks)
    replica.queues("a")

    assert replica.processes() is What.DONE
    wait_until(lambda: os.waitpid(children[0], os.WNOHANG)[0], 10, what="the child to end")


def test_a_request_that_nests_a_handler_too_deeply_is_answered_failed() -> None:
    def handler(request: dict[str, Any]) -> bool:
        return handler(request)

    replica = Replica(handler)
    replica.queues("a")
    assert replica.processes() is What.ANSWERED


def test_an_exception_that_cannot_be_shown_is_answered_failed() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def handler(_: dict[str, Any]) -> bool:
        raise Mute

    replica = Replica(handler)
    replica.queues("a")
    assert replica.processes() is What.ANSWERED


@pytest.mark.parametrize("returned", [None, 0, 1, "", "no", [], object()])
def test_a_result_other_than_true_and_false_fails_loudly(returned: Any) -> None:
    replica = Replica(lambda _: returned)
    replica.queues("a")
    assert replica.processes() is What.ANSWERED
    description = replica.responses[0]["failureDetails"]["description"]
    assert "neither True (done) nor False (not yet)" in description


def test_a_failure_that_cannot_be_answered_goes_whole_to_the_failed_topic_with_its_reason() -> None:
    replica = Replica(broken, RefusingLog(RESPONSES))
    place = replica.queues("a", n=1)
    assert replica.processes() is What.FAILED
    (failed,) = replica.failed
    (original,) = records(replica.log, TOPIC)
    assert (failed.key, failed.value) == (original.key, original.value)
    assert b"no such server" in failed.headers["reason"]
    assert b'raise ValueError("no such server")' in failed.headers["traceback"]
    assert failed.headers["topic"] == TOPIC.encode()
    assert failed.headers["partition"] == str(place.partition.number).encode()
    assert failed.headers["offset"] == b"0"
    assert replica.committed == {place.partition.number: 1}


def test_what_can_be_put_nowhere_is_not_committed_and_comes_again_until_it_can() -> None:
    log = RefusingLog(RESPONSES, FAILED)
    replica = Replica(broken, log, first_pause_s=0.05)
    place = replica.queues("a")
    replica.queues("a", n=2)
    for _ in range(3):
        assert replica.processes() is What.RETURNED
    assert replica.committed == {}
    assert {event.offset for event in replica.told} == {0}, "the next one waits for its turn"
    log.refused.clear()
    assert replica.processes() is What.ANSWERED
    assert replica.committed == {place.partition.number: 1}


def test_what_comes_again_has_a_pause_that_grows_and_other_partitions_go_on() -> None:
    log = RefusingLog(RESPONSES, FAILED)
    replica = Replica(lambda r: r["request_id"] == "b" or broken(r), log, first_pause_s=30.0)
    replica.queues("a")
    assert replica.processes() is What.RETURNED
    place = replica.queues("b")
    assert place.partition.number != replica.told[0].partition
    assert replica.processes() is What.DONE
    assert replica.queue.process_request(0.3) is None, "a waits for its pause"


@pytest.mark.parametrize(
    "value", [b"{", b"\xff\xfe\x00", b"[]", b"null", b"5", b"{}", b'{"request_id": 5}', b""]
)
def test_what_cannot_be_read_goes_whole_to_the_failed_topic_and_the_next_is_done(
    value: bytes,
) -> None:
    called: list[str] = []

    def handler(request: dict[str, Any]) -> bool:
        called.append(request["request_id"])
        return True

    replica = Replica(handler)
    place = replica.appends(value)
    replica.queues("a")
    assert replica.processes() is What.FAILED
    (failed,) = replica.failed
    assert (failed.key, failed.value) == (b"a", value)
    assert failed.headers["reason"]
    assert replica.committed == {place.partition.number: 1}
    assert replica.responses == [], "there is nobody to answer"
    assert replica.processes() is What.DONE
    assert called == ["a"]


def test_a_record_without_a_key_and_an_id_goes_to_the_failed_topic() -> None:
    replica = Replica(done)
    replica.appends(b'{"lifecycle_name": "Start"}', key=None)
    assert replica.processes() is What.FAILED
    assert replica.failed[0].value == b'{"lifecycle_name": "Start"}'


def test_what_cannot_be_read_and_put_nowhere_comes_again() -> None:
    log = RefusingLog(FAILED)
    replica = Replica(done, log, first_pause_s=0.05)
    replica.appends(b"[]")
    assert replica.processes() is What.RETURNED
    assert replica.committed == {}
    log.refused.clear()
    assert replica.processes() is What.FAILED
    assert len(replica.failed) == 1


@pytest.mark.parametrize("field", LIFECYCLE_FIELDS)
@pytest.mark.parametrize("as_null", [True, False])
def test_a_request_that_lacks_a_known_field_is_answered_and_its_handler_not_called(
    field: str, as_null: bool
) -> None:
    replica = Replica(broken, required=LIFECYCLE_FIELDS)
    request = lifecycle_request("Start", request_id="a")
    if as_null:
        request[field] = None
    else:
        del request[field]
    place = replica.queues(**request)
    assert replica.processes() is What.ANSWERED
    assert replica.responses[0]["failureDetails"]["description"] == (
        f"Lifecycle request for partition {place.partition.number} offset 0 is missing {field}."
    )
    assert replica.failed == []
    assert replica.committed == {place.partition.number: 1}


def test_a_complete_lifecycle_request_is_handled() -> None:
    replica = Replica(done, required=LIFECYCLE_FIELDS)
    replica.queues(**lifecycle_request("Start", request_id="a"))
    assert replica.processes() is What.DONE


def test_requests_of_one_id_are_done_in_the_order_in_which_they_were_queued() -> None:
    order: list[int] = []

    def handler(request: dict[str, Any]) -> bool:
        order.append(request["n"])
        return True

    replica = Replica(handler)
    for n in range(20):
        replica.queues("a", n=n)
    for _ in range(20):
        replica.processes()
    assert order == list(range(20))


def test_a_commit_that_fails_is_made_up_for_and_the_work_not_done_again() -> None:
    log = MemoryLog()
    called: list[int] = []

    def handler(request: dict[str, Any]) -> bool:
        called.append(request["n"])
        if request["n"] == 1:
            log.down()
        return True

    replica = Replica(handler, log)
    place = replica.queues("a", n=1)
    replica.queues("a", n=2)
    assert replica.processes() is What.DONE
    assert replica.queue.process_request(0.05) is None, "nothing is taken before it is committed"
    log.up()
    assert replica.processes() is What.DONE
    assert called == [1, 2]
    assert [event.offset for event in replica.saw(What.COMMITTED)] == [0, 1]
    assert replica.committed == {place.partition.number: 2}


def test_a_partition_that_is_lost_before_the_commit_holds_nothing_up() -> None:
    log = MemoryLog()

    def handler(_: dict[str, Any]) -> bool:
        if len(replica.saw(What.TAKEN)) == 1:
            with log.changed:  # the log counts us out
                assert replica.queue._share is not None
                consumer: Any = replica.queue._share.consumer
                log._group(replica.service.settings.queue.group_id).leave(consumer)
        return True

    replica = Replica(handler, log)
    place = replica.queues("a")
    assert replica.processes() is What.DONE
    assert replica.committed == {}
    assert replica.processes() is What.DONE, "it comes again, and is done again"
    assert replica.committed == {place.partition.number: 1}


def test_an_observer_is_told_what_becomes_of_each_request_where_and_when() -> None:
    replica = Replica(done, name="replica-1")
    place = replica.queues("a")
    replica.processes()
    assert [event.what for event in replica.told] == [What.TAKEN, What.DONE, What.COMMITTED]
    for event in replica.told:
        assert (event.replica, event.topic) == ("replica-1", TOPIC)
        assert (event.partition, event.offset) == (place.partition.number, 0)
    taken, ended, _ = replica.told
    assert taken.request_id == ended.request_id == "a"
    assert taken.queued_at_s <= taken.at_s + 0.001 <= ended.at_s + 0.001


def test_an_observer_that_fails_hurts_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def observer(_: RequestEvent) -> None:
        raise RuntimeError("no space left")

    replica = Replica(done)
    replica.queue._settlement._observer = observer
    place = replica.queues("a")
    assert replica.processes() is What.DONE
    assert replica.committed == {place.partition.number: 1}
    assert "no space left" in caplog.text


def test_the_depth_says_how_much_waits() -> None:
    replica = Replica(done)
    for n in range(3):
        replica.queues("a", n=n)
    assert sum(depth.waiting for depth in replica.service.depth()) == 3
    replica.processes()
    (lane,) = [depth for depth in replica.service.depth() if depth.end]
    assert (lane.first, lane.committed, lane.end, lane.waiting) == (0, 1, 3, 2)


def test_a_replica_waits_for_a_log_that_is_not_there() -> None:
    log = MemoryLog()
    log.down()
    replica = Replica(done, log)
    assert replica.queue.process_request(0.01) is None
    log.up()
    replica.queues("a")
    assert replica.processes() is What.DONE


def test_a_closed_queue_says_so() -> None:
    replica = Replica(done)
    replica.queue.close()
    replica.queue.close()
    with pytest.raises(BadInput, match="closed"):
        replica.queue.process_request()


def test_a_replica_is_built_and_run_outside_the_main_thread() -> None:
    log, ended = MemoryLog(), threading.Event()
    replicas: list[Replica] = []

    def last(_: dict[str, Any]) -> bool:
        replicas[0].queue.stop()
        return True

    def life() -> None:
        replicas.append(Replica(last, log))
        replicas[0].queues("a")
        replicas[0].queue.run()
        ended.set()

    threading.Thread(target=life, daemon=True).start()
    assert ended.wait(10)
    assert replicas[0].saw(What.DONE)


def test_the_example_of_the_package_works() -> None:
    text = labs.request_queue.__doc__ or ""
    code = "\n".join(re.findall(r"^(?:    .*)?$", text.partition("**What")[0], re.MULTILINE))
    scope: dict[str, Any] = {}
    exec(textwrap.dedent(code), scope)  # noqa: S102 - our own words
    assert [event.what for event in scope["events"]] == [What.TAKEN, What.DONE, What.COMMITTED]
    (response,) = records(scope["log"], RESPONSES)
    assert json.loads(response.value or b"")["status"] == "COMPLETE"
