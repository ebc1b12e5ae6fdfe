"""The client of the queue service: what it asks again, what it raises, whom it takes for whom.

That it answers as the service itself is shown by the contract; how it works on builds by the
tests of claims.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from starlette.types import Message, Receive, Scope, Send

from labs.errors import BadInput
from labs.queue_service import admission
from labs.queue_service import client as client_room
from labs.queue_service.api import QueueApi, create_app
from labs.queue_service.api_guard import Limits
from labs.queue_service.auth import Authenticator
from labs.queue_service.auth_tokens import TokenChecker
from labs.queue_service.client import QueueServiceClient
from labs.queue_service.client_requests import call_of
from labs.queue_service.errors import BadMessage, Forbidden, Overloaded
from labs.queue_service.keys import load_private, make_pair, sign_token
from labs.queue_service.limits import RateLimit
from labs.queue_service.messages import State
from labs.queue_service.operations import Operation, PutSchedule, Start
from labs.queue_service.passwords import PasswordFile, put_password
from labs.queue_service.problems import BadRequest
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from labs.task_queue.errors import ClaimLost, StoreUnfit, StoreUnreachable, Unauthorised
from tests.queue_service.doors import build, client, cluster, job, shared_service, shared_url
from tests.task_queue.test_client import shop

__all__ = ["build", "client", "cluster", "job", "shared_service", "shared_url"]

IMPATIENT_S = 0.5
SECRET = "hunter2"


@dataclass
class Losing:
    """Has requests carried out, and loses the answers to the next few: their clients give up."""

    app: QueueApi
    next_answers: int = 0
    asked: list[str] = field(default_factory=list)

    def stop(self) -> None:
        self.app.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] != "GET":
            self.asked.append(str(scope["path"]).rpartition("/")[2])
        if scope["method"] == "GET" or self.next_answers == 0:
            await self.app(scope, receive, send)
            return
        self.next_answers -= 1
        await self.app(scope, receive, nowhere)
        while (await receive())["type"] != "http.disconnect":
            pass


async def nowhere(_: Message) -> None:
    return


@pytest.fixture(scope="module")
def losing_server(shared_service: QueueService) -> Iterator[tuple[str, Losing]]:
    losing = Losing(create_app(shared_service))
    with serving(losing) as url:
        yield url, losing


@pytest.fixture
def losing(losing_server: tuple[str, Losing]) -> Losing:
    """What loses answers, and has lost none yet."""
    _, losing = losing_server
    losing.next_answers, losing.asked = 0, []
    return losing


@pytest.fixture
def impatient(losing_server: tuple[str, Losing]) -> Iterator[QueueServiceClient]:
    """A client that waits half a second for an answer."""
    with QueueServiceClient(losing_server[0], timeout_s=IMPATIENT_S) as client:
        yield client


def test_a_start_whose_answer_was_lost_is_sent_again_and_says_that_it_was_stored(
    impatient: QueueServiceClient, losing: Losing, build: int, job: int
) -> None:
    losing.next_answers = 1

    enqueued = impatient.start(build, job)

    assert losing.asked == ["message", "message"]
    assert (enqueued.created, enqueued.replayed) == (True, True)
    assert not impatient.start(build, job).created


def test_a_build_that_was_settled_though_the_answer_was_lost_is_settled(
    impatient: QueueServiceClient, losing: Losing, build: int, job: int, cluster: str
) -> None:
    for n in range(3):
        impatient.start(build + n, job + n, cluster=cluster)
    done, failed, back = impatient.claim("w", 3, cluster=cluster)

    losing.next_answers = 1
    assert impatient.ack(done, "well") is State.DONE
    losing.next_answers = 1
    assert impatient.nack(failed, "why", final=True) is State.FAILED
    losing.next_answers = 1
    assert impatient.nack(back, requeue=True) is State.QUEUED

    assert losing.asked.count("ack") == 2
    assert losing.asked.count("nack") == 4


def test_that_another_has_settled_it_is_not_taken_for_ones_own_doing(
    impatient: QueueServiceClient, losing: Losing, build: int, job: int, cluster: str
) -> None:
    impatient.start(build, job, cluster=cluster)
    (lost,) = impatient.claim("w", cluster=cluster)
    impatient.nack(lost, requeue=True)
    (own,) = impatient.claim("other", cluster=cluster)
    impatient.ack(own, "theirs")
    losing.next_answers = 1

    with pytest.raises(ClaimLost):
        impatient.ack(lost, "ours")


@pytest.mark.parametrize("verb", ["claim", "replay", "thaw", "put_schedule"])
def test_what_is_not_as_good_twice_is_not_asked_again(
    impatient: QueueServiceClient, losing: Losing, verb: str, job: int
) -> None:
    tries: dict[str, Callable[[], object]] = {
        "claim": lambda: impatient.claim("w", cluster="nobody's"),
        "replay": lambda: impatient.replay(["ghost"]),
        "thaw": lambda: impatient.thaw(job),
        "put_schedule": lambda: impatient.put_schedule(job, "H H * * *", trigger=True),
    }
    losing.next_answers = 1

    with pytest.raises(StoreUnreachable) as raised:
        tries[verb]()

    assert "is open" in raised.value.remedy
    assert len(losing.asked) == 1


class Away(QueueService):
    """A service whose store does not answer the next few times."""

    times = 0

    async def do(self, operation: Operation[Any]) -> Any:
        if self.times:
            self.times -= 1
            raise StoreUnreachable("The store is away.", remedy="Wait.")
        return await super().do(operation)


def test_a_store_that_comes_back_soon_is_waited_for_and_one_that_does_not_is_named(
    tmp_path: Path,
) -> None:
    with (
        Away.at(f"sqlite:///{tmp_path / 'builds.db'}") as service,
        serving(create_app(service)) as url,
        QueueServiceClient(url, retries=1) as client,
    ):
        assert isinstance(service, Away)
        service.times = 1
        assert client.start(1, 7).created
        service.times = 100
        with pytest.raises(StoreUnreachable, match="The store does not answer"):
            client.start(2, 7)
        assert service.times == 98
        with pytest.raises(StoreUnreachable):
            client.claim("w")
        assert service.times == 97, "whether it was claimed is open: it is not claimed again"
        client.ready()


def test_who_asks_too_often_comes_again_when_told_to_unless_that_is_too_late(
    shared_service: QueueService,
) -> None:
    for per_s, answered in ((1.0, True), (0.01, False)):
        app = create_app(shared_service, limits=Limits(rate=RateLimit(per_s, burst=1)))
        with serving(app) as url, QueueServiceClient(url, retries=1) as client:
            client.stats()
            if answered:  # a second later: sooner would be too often again
                client.stats()
                continue
            with pytest.raises(Overloaded) as raised:
                client.stats()
            assert raised.value.retry_after_s > 90


START = Start(
    build_id=1,
    job_id=7,
    body={"isPR": False, "annotations": {"team/owner": "ada"}, "priority": 5, "token": "gone"},
    job_name="deploy",
    disabled=True,
    blocked_by=(7, 8),
    collapse=False,
    blocked_by_self=False,
    blocked_by_same_job=False,
    same_job_wait_s=90.0,
    virtual=True,
    freeze_windows=("* 0-6 ? * *",),
    force=True,
    cluster="arm",
    delay_s=1.5,
    max_attempts=7,
    backoff_s=0.25,
    idempotency_key="a key",
)


def test_what_is_asked_for_comes_out_at_the_service_s_door_as_it_went_in() -> None:
    for start in (START, Start(build_id=1, job_id=7, body={}, blocked_by=())):
        call, _ = call_of(start)
        assert call.body is not None
        said = json.loads(call.body)
        meant = admission.start(said)
        same: dict[str, Any] = {"body": {}, "fingerprint": "", "idempotency_key": None}
        assert replace(meant, **same) == replace(start, **same)
        assert call.headers["Idempotency-Key"] == (start.idempotency_key or ANY)

        put = PutSchedule(job_id=7, cron="H H * * *", body={"isPR": True}, template=start)
        call, _ = call_of(put)
        assert call.body is not None
        scheduled = admission.put_schedule(json.loads(call.body))
        same |= {"build_id": 0, "job_name": "", "disabled": False, "force": False}
        assert scheduled.template is not None
        assert replace(scheduled.template, **same) == replace(start, **same)
    assert said == {"buildId": 1, "jobId": 7, "blockedBy": []}, "what goes without saying is not"
    assert meant.body == said


def test_what_is_wrong_is_named_by_its_fields(
    client: QueueServiceClient, build: int, job: int
) -> None:
    with pytest.raises(BadMessage) as one:
        client.start(0, job)
    assert one.value.field == "buildId"
    with pytest.raises(BadRequest) as many:
        client.start(build, job, priority=10**6, freeze_windows=[], max_attempts=0)
    assert {wrong.field for wrong in many.value.wrong} == {"priority", "maxAttempts"}
    with pytest.raises(BadMessage, match="cannot contain both days") as window:
        client.start(build, job, freeze_windows=["* * * * *"])
    assert window.value.field == "freezeWindows.0"
    with pytest.raises(BadMessage) as cron:
        client.put_schedule(job, "H H * *")
    assert cron.value.field == "cron"


@pytest.fixture(scope="module")
def guarded(
    shared_service: QueueService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Callable[..., str]]]:
    """A server that asks who comes; and what signs tokens for it."""
    folder = tmp_path_factory.mktemp("keys")
    private, public = make_pair(folder)
    put_password(folder / "passwords", "ada", ["sdapi"], SECRET)
    authenticator = Authenticator(
        tokens=TokenChecker([public]), passwords=PasswordFile(folder / "passwords")
    )
    key = load_private(private)

    def token(*scopes: str, life_s: float = 60.0) -> str:
        return sign_token(key, subject="ada", scopes=scopes, life_s=life_s)

    with serving(create_app(shared_service, authenticator=authenticator)) as url:
        yield url, token


def test_a_token_or_a_password_opens_what_its_scopes_say(
    guarded: tuple[str, Callable[..., str]], build: int, job: int, cluster: str
) -> None:
    url, token = guarded
    with QueueServiceClient(url, token=token("sdapi")) as client:
        assert client.start(build, job, cluster=cluster).created
        with pytest.raises(Forbidden) as refused:
            client.claim("w", cluster=cluster)
        assert (refused.value.need, refused.value.got) == ("worker", ("sdapi",))
    with QueueServiceClient(url, token=token("worker")) as worker:
        assert worker.claim("w", cluster=cluster)
    with QueueServiceClient(url, user="ada", password=SECRET) as client:
        assert client.stop(build).stopped


def test_who_is_not_known_is_told_what_to_bring_and_no_secret_is_repeated(
    guarded: tuple[str, Callable[..., str]],
) -> None:
    url, token = guarded
    expired = token("sdapi", life_s=-60)
    clients = {
        "Missing authentication": QueueServiceClient(url),
        "Expired token": QueueServiceClient(url, token=expired),
        "Wrong name or password": QueueServiceClient(url, user="ada", password=f"{SECRET}!"),
    }
    for words, unknown in clients.items():
        with unknown, pytest.raises(Unauthorised, match=words) as refused:
            unknown.stats()
        said = f"{refused.value} {refused.value.remedy} {unknown!r}"
        assert expired not in said
        assert SECRET not in said
        assert refused.value.remedy


@pytest.mark.parametrize(
    "given",
    [
        {"token": "x", "user": "ada", "password": SECRET},
        {"user": "ada"},
        {"password": SECRET},
        {"token": f"two {SECRET}"},
        {"timeout_s": 0},
        {"retries": 9},
    ],
)
def test_what_can_not_be_meant_is_refused_at_once(given: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refused:
        QueueServiceClient("localhost:1", **given)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("given", ["", "ftp://x", f"http://me:{SECRET}@x", "localhost:port"])
def test_what_is_no_address_is_refused_and_no_secret_shown(given: str) -> None:
    with pytest.raises(BadInput, match="queue service's server") as refused:
        QueueServiceClient(given)
    assert SECRET not in str(refused.value)


def test_where_nobody_listens_or_another_server_does_that_is_said() -> None:
    with (
        QueueServiceClient("localhost:1", retries=0) as client,
        pytest.raises(StoreUnreachable, match=r"queue service.*http://localhost:1/v1/.*refused"),
    ):
        client.claim("w")
    with shop() as url, QueueServiceClient(url) as client:
        with pytest.raises(StoreUnfit, match="is no queue service"):
            client.stats()
        with pytest.raises(StoreUnfit, match="is no queue service"):
            client.start(1, 7)


def test_what_answers_in_json_and_is_no_queue_service_is_told_from_one() -> None:
    with shop(b'{"welcome": "to our shop"}') as url, QueueServiceClient(url) as client:
        for ask in (client.stats, client.schedules):
            with pytest.raises(StoreUnfit, match="said something else"):
                ask()


def test_a_long_wait_is_made_of_several_that_no_proxy_cuts(
    client: QueueServiceClient,
    build: int,
    job: int,
    cluster: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_room, "LONGEST_POLL_S", 0.1)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(client.claim, "w", cluster=cluster, wait_s=30)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        client.start(build, job, cluster=cluster)
        assert len(waiting.result()) == 1
    assert not client.claim("w", cluster=cluster, wait_s=0.3)


def test_many_threads_share_a_client_and_each_build_goes_to_one(
    client: QueueServiceClient, build: int, job: int, cluster: str
) -> None:
    got: list[int | None] = []

    def work(owner: str) -> None:
        while claimed := client.claim(owner, 3, cluster=cluster):
            got.extend(one.build_id for one in claimed)
            for one in claimed:
                client.ack(one)

    with ThreadPoolExecutor(4) as threads:
        starts = [
            threads.submit(client.start, build + n, job + n, cluster=cluster) for n in range(40)
        ]
        assert all(start.result().created for start in starts)
        for done in [threads.submit(work, f"worker {n}") for n in range(4)]:
            done.result()
    assert sorted(got, key=str) == [build + n for n in range(40)]
