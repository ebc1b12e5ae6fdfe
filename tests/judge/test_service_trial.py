"""Trials on a queue service: the door before it, what is written down, and what a fault leaves."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from labs.errors import LabError
from labs.journal import Event, Journal, read_journals
from labs.judge import engine
from labs.judge.catalogue import exercise
from labs.judge.history import History
from labs.judge.judging import judge_journals
from labs.judge.leftovers import left_by_killed_checks
from labs.judge.orders import Order, Orders
from labs.judge.rules.finding import KEPT
from labs.judge.rules.starting import waits_as_told
from labs.judge.service_door import Door
from labs.judge.service_faults import Busy, ComeLate, LoseAnswer, LoseRequest, Restart, ServiceFault
from labs.judge.service_ground import ServiceGround
from labs.judge.verdicts import Outcome
from labs.waiting import wait_until

pytestmark = pytest.mark.usefixtures("labs_home")

PATH = "/v1/queue/message"
NAMES = ("one", "two", "three")
PROGRAMS = Path(__file__).parent.parent / "programs" / "idempotent-start"


# --- The door ---------------------------------------------------------------------------------


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[ServiceGround]:
    with ServiceGround(tmp_path / "service.sqlite") as ground:
        yield ground


class Client:
    """A learner's client, by hand: one connection, which is opened again when it is lost."""

    def __init__(self, ground: ServiceGround, *faults: ServiceFault) -> None:
        self.journal = Journal()
        self.journal.append("run", data={"exercise": "idempotent-start", "trial": "by-hand"})
        for name in NAMES:
            self.journal.append("published", data={"body": name, "order": name, "job": 7})
        self.door = Door(ground, self.journal, lambda: None, NAMES, faults, "A")

    def __enter__(self) -> Client:
        self.door.__enter__()
        host, port = self.door.url.removeprefix("http://").split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.door.__exit__()

    def asks(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request; status and body of the answer."""
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        self.headers = answer.headers
        read = answer.read()
        return answer.status, json.loads(read) if read else None

    def sends(self, order: str, build: int, key: str | None = None) -> int:
        """Send an order; the status of the answer."""
        body = {"order": order, "jobId": 7, "buildId": build, "blockedBy": []}
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        return self.asks("POST", PATH, json.dumps(body), **headers)[0]

    def loses(self, order: str, build: int, key: str | None = None) -> None:
        """Send an order, and have the connection cut."""
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            self.sends(order, build, key)
        self.connection.close()

    @property
    def orders(self) -> Mapping[str, Order]:
        """What the journal says of each order."""
        return {o.name: o for o in Orders.of(History.of(self.journal.events)).all}

    def told(self) -> list[str]:
        """The journal, in a few words."""
        kinds = ("asked", "answered", "fault")
        return [e.name or str(e.data["status"]) for e in self.journal.events if e.kind in kinds]


def stored(ground: ServiceGround) -> list[tuple[str, int | None]]:
    return [(one.order, one.build) for one in ground.stored()]


def test_a_request_and_its_answer_pass_as_they_are(ground: ServiceGround) -> None:
    with Client(ground) as client:
        assert client.sends("one", 5, "a key") == 422, "a key has no blanks"
        assert client.sends("one", 5, "k") == 201
        assert client.headers["Location"].endswith("id=5")
        assert client.sends("one", 5) == 200
        status, found = client.asks("GET", f"{PATH}?buildId=5")
        assert (status, found["message"]["buildId"]) == (200, 5)
        assert client.orders["one"].shown[0].data["shows"] == ["one"]
        assert client.asks("HEAD", f"{PATH}?buildId=5") == (200, None)
        assert client.asks("PUT", PATH)[0] in (404, 405)
        assert client.door.connections == 1, "all on one connection"
        first, second, third = client.orders["one"].tries
    assert (first.status, first.key) == (422, "a key")
    assert (second.status, second.name, third.name) == (201, (5, "k"), (5, None))
    assert second.answer
    assert third.answer
    assert (second.answer.data["created"], third.answer.data["created"]) == (True, False)
    assert second.body_sum == third.body_sum
    assert stored(ground) == [("one", 5)]


def test_a_body_in_chunks_is_read_whole(ground: ServiceGround) -> None:
    body = json.dumps({"order": "one", "jobId": 7, "buildId": 5, "jobName": "blåbær ✓" * 40})
    with Client(ground) as client:
        halves = iter([body[:30].encode(), body[30:].encode()])
        assert client.asks("POST", PATH, halves, **{"Content-Type": "application/json"})[0] == 201
    assert stored(ground) == [("one", 5)]


def test_what_is_no_order_goes_its_way_too(ground: ServiceGround) -> None:
    with Client(ground, LoseRequest(0)) as client:
        kind = {"Content-Type": "application/json"}
        assert client.asks("POST", PATH, "no JSON", **kind)[0] == 422
        assert client.asks("POST", PATH, "[]", **kind)[0] == 422
        odd = {"order": ["one"], "jobId": 7, "buildId": {"a": [1]}}
        assert client.asks("POST", PATH, json.dumps(odd), **kind)[0] == 422
        asked = [e.data for e in client.journal.events if e.kind == "asked"]
    assert [data["order"] for data in asked] == [None, None, "['one']"]
    assert asked[2]["build"] == "{'a': [1]}"


def test_half_a_request_is_none(ground: ServiceGround) -> None:
    with Client(ground) as client:
        with socket.create_connection((client.connection.host, client.connection.port)) as half:
            half.sendall(f"POST {PATH} HTTP/1.1\r\nContent-Length: 90\r\n\r\n{{".encode())
        with socket.create_connection((client.connection.host, client.connection.port)) as half:
            half.sendall(f"POST {PATH} HTTP/1.1\r\nContent-Length: many\r\n\r\n".encode())
            assert half.recv(100).startswith(b"HTTP/1.1 400")
        assert client.sends("one", 5) == 201
        assert client.told() == ["POST", "201"]


def test_an_answer_is_lost_behind_the_commit_and_a_request_before_it(ground: ServiceGround) -> None:
    with Client(ground, LoseAnswer(0), LoseRequest(1)) as client:
        client.loses("one", 5, "k")
        assert stored(ground) == [("one", 5)]
        client.loses("two", 6)
        assert stored(ground) == [("one", 5)]
        assert client.sends("one", 5, "k") == 201, "the answer of the first time"
        assert client.sends("two", 6) == 201
        told = client.told()
        assert told == [
            *("POST", "201", "lose-answer"),
            *("POST", "lose-request"),
            *("POST", "201", "POST", "201"),
        ]
        first, second = client.orders["one"].tries
        assert first.answer
        assert first.heard is None
        assert second.heard
        assert second.heard.data["replayed"]


def test_a_late_request_arrives_behind_the_answer_to_the_next_try(ground: ServiceGround) -> None:
    with Client(ground, ComeLate(0)) as client:
        late = Client.__new__(Client)
        late.connection = http.client.HTTPConnection(
            client.connection.host, client.connection.port, timeout=0.2
        )
        with closing(late.connection), pytest.raises(TimeoutError):
            late.sends("one", 5)
        wait_until(lambda: "come-late" in client.told(), 30.0)
        assert stored(ground) == []
        assert client.sends("one", 6) == 201
    # The door is closed: what was under way has arrived.
    assert stored(ground) == [("one", 6), ("one", 5)]
    assert client.told() == ["POST", "come-late", "POST", "201", "201", "let-through"]
    first, second = client.orders["one"].tries
    assert first.answer
    assert second.heard
    assert second.heard.n < first.answer.n
    assert first.heard is None


def test_a_busy_service_refuses_all_for_a_while(ground: ServiceGround) -> None:
    with Client(ground, Busy(0, for_s=3)) as client:
        assert client.sends("one", 5) == 503
        assert client.headers["Retry-After"] == "3"
        assert client.sends("two", 6) == 503
        assert client.orders["two"].tries[0].retry_after_s == 3.0
        assert stored(ground) == []
        wait_until(lambda: client.sends("one", 5) == 201, 30.0)
        first, *_, last = client.orders["one"].tries
    assert last.event.at_s - first.event.at_s >= 3.0


def test_a_restarted_service_is_away_and_has_all_that_it_had(ground: ServiceGround) -> None:
    with Client(ground, Restart(0, away_s=0.5)) as client:
        assert client.sends("two", 6, "k") == 201
        before = ground.url
        client.loses("one", 5, "x")
        refused = []

        def is_back() -> bool:
            try:
                return client.sends("one", 5, "x") == 201
            except ConnectionError as refusal:
                client.connection.close()
                refused.append(refusal)
                return False

        wait_until(is_back, 30.0)
        assert refused, "it was away"
        assert ground.url != before, "another service, behind the same door"
        assert client.sends("two", 6, "k") == 201
        assert client.sends("three", 6, "k") == 422, "it knows the key, which was another order's"
    assert stored(ground) == [("two", 6), ("one", 5)]


def test_a_service_that_does_not_come_back_is_the_kits_failure(ground: ServiceGround) -> None:
    class Broken:
        url = ground.url

        def restart(self) -> None:
            raise LabError("The service can't be started.", remedy="Look at the disk.")

    with Client(ground, Restart(0, away_s=0.1)) as client:
        client.door.service = Broken()
        client.loses("one", 5)
        client.connection.close()
    assert isinstance(client.door.failure, LabError)


# --- The trials -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Sequence[Event]]:
    """The exercise's own solution, run once."""
    command = [sys.executable, str(exercise("idempotent-start").folder / "solution.py")]
    return run(command, tmp_path_factory.mktemp("service"))


def run(command: Sequence[str], home: Path, **how: Any) -> Sequence[Sequence[Event]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(home / ".labs"))
        return engine.run_trials("idempotent-start", command, broker=None, seed="a seed", **how)


@pytest.mark.slow
def test_each_fault_strikes_the_first_try_of_its_order_and_the_next_one_settles_it(
    journals: Sequence[Sequence[Event]],
) -> None:
    struck = {}
    for events in journals:
        for order in Orders.of(History.of(events)).all:
            for request in order.tries[1:]:
                assert not request.faults
            faults = [fault.name for request in order.tries for fault in request.faults]
            if faults:
                assert not order.tries[0].said_yes
                assert order.tries[-1].said_yes
                struck[faults[0]] = faults
    assert struck == {
        "come-late": ["come-late", "let-through"],
        "lose-answer": ["lose-answer"],
        "lose-request": ["lose-request"],
        "service-away": ["service-away", "service-back"],
        "busy": ["busy"],
        "hold-answer": ["hold-answer"],
        "hold-request": ["hold-request"],
    }


@pytest.mark.slow
def test_it_is_killed_with_and_without_the_service_having_got_the_order(
    journals: Sequence[Sequence[Event]],
) -> None:
    history = History.of(journals[2])
    orders = {order.name: order for order in Orders.of(history).all}
    first, second = history.struck("kill")
    (got,), (not_got,) = first.data["orders"], second.data["orders"]
    assert orders[got].tries[0].answer
    assert orders[not_got].tries[0].answer is None
    assert len(history.processes) == 3
    for name in (got, not_got):
        assert len({request.process for request in orders[name].tries}) >= 2
        assert len(orders[name].left) == 1


@pytest.mark.slow
def test_a_line_stands_behind_the_answer_that_it_tells_of(
    journals: Sequence[Sequence[Event]],
) -> None:
    for events in journals:
        for order in Orders.of(History.of(events)).good:
            heard = [request.heard for request in order.tries if request.said_yes]
            assert heard[0]
            assert heard[0].n < order.says("started")[0].event.n


@pytest.mark.slow
def test_there_are_orders_that_are_alike_and_one_that_is_bad(
    journals: Sequence[Sequence[Event]],
) -> None:
    for events in journals:
        orders = Orders.of(History.of(events))
        what = [(order.job, order.given.data["job_name"]) for order in orders.good]
        assert len(what) - len(set(what)) == 1
    (bad,) = (order for order in Orders.of(History.of(journals[0])).all if order.is_bad)
    assert [request.status for request in bad.tries] == [422]


@pytest.mark.slow
def test_the_same_journals_give_the_same_report(journals: Sequence[Sequence[Event]]) -> None:
    report = judge_journals(journals)
    assert report.outcome is Outcome.KEPT
    assert report == judge_journals(journals)


@pytest.mark.slow
def test_who_sends_all_at_once_is_killed_with_all_that_waits(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAMS / "right_httpx_asyncio.py")]
    (events,) = run(command, tmp_path, only=["killed"])
    history = History.of(events)
    kills = history.struck("kill")  # mostly one, which strikes both
    killed = {order for kill in kills for order in kill.data["orders"]}
    assert killed == {
        event.data["order"] for event in history.struck("hold-answer", "hold-request")
    }
    assert len(killed) == 2
    assert not history.noted("fault-missed")
    outcomes = {
        verdict.outcome for verdict in judge_journals([events]).verdicts if not verdict.seen
    }
    assert outcomes == {Outcome.KEPT}


@pytest.mark.slow
def test_who_came_too_soon_while_the_machine_stood_still_is_not_accused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.judge.service_trial.STALL_S", 0.0)
    command = [sys.executable, str(PROGRAMS / "wrong_73_comes_at_once.py")]
    (events,) = run(command, tmp_path, only=["restarted"])
    assert waits_as_told(History.of(events)) not in (None, KEPT)
    assert judge_journals([events]).outcome is Outcome.UNKNOWN
    assert engine.missed_by_chance(events), "it is tried again"


def test_without_the_service_nothing_can_be_said_and_a_sentence_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "labs.queue_service.service", None)
    ran = engine.check("idempotent-start", [sys.executable, "-c", ""], broker=None, seed="s")
    assert ran.report.exit_code == 2
    assert all("There is no queue service here" in one.seen for one in ran.report.verdicts)
    assert not list(left_by_killed_checks())


def test_no_rabbitmq_is_asked_for_and_the_run_can_be_judged_again(tmp_path: Path) -> None:
    words = ["check", "idempotent-start", "--json", "--journal", "run.jsonl", "--", "echo", "hi"]
    nowhere = {"AMQP_URL": "amqp://nobody:x@127.0.0.1:1/%2F", "LABS_HOME": str(tmp_path / ".labs")}
    ran = subprocess.run(
        [sys.executable, "-m", "labs", *words],
        env=os.environ | nowhere,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["outcome"]) == (1, "broken"), ran.stderr
    assert report["verdicts"][0]["promise"] == "contract"
    assert "never sent a request" in report["verdicts"][0]["seen"]
    again = judge_journals(read_journals(tmp_path / "run.jsonl"))
    assert [verdict.seen for verdict in again.verdicts] == [v["seen"] for v in report["verdicts"]]
