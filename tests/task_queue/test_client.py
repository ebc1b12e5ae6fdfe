"""The client of the REST API: what it asks again, what it raises, what it takes for an address.

That it is a task queue like the others is shown by the contract suite, which runs over it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labs.errors import BadInput
from labs.task_queue.api import create_app
from labs.task_queue.api_server import serving
from labs.task_queue.client import ApiClient
from labs.task_queue.errors import (
    BadTask,
    ClaimLost,
    StoreUnfit,
    StoreUnreachable,
    UnknownTask,
)
from labs.task_queue.memory import MemoryQueue
from labs.task_queue.sql import SqlQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Claim
from tests.support import wait_until

IMPATIENT_S = 0.5


@dataclass
class Losing:
    """Carries requests out, and loses the answers to the next few: their clients give up."""

    next_answers: int = 0
    asked: list[str] = field(default_factory=list)

    def around(self, app: ASGIApp) -> ASGIApp:
        async def losing(scope: Scope, receive: Receive, send: Send) -> None:
            path = str(scope["path"]).rpartition("/")[2]
            self.asked.append(path)
            if path == "lookup_task" or self.next_answers == 0:
                await app(scope, receive, send)
                return
            self.next_answers -= 1
            await app(scope, receive, nowhere)
            while (await receive())["type"] != "http.disconnect":
                pass

        async def nowhere(_: Message) -> None:
            return

        return losing


@pytest.fixture
def losing() -> Losing:
    return Losing()


@pytest.fixture
def client(losing: Losing) -> Iterator[ApiClient]:
    """A client that waits for an answer half a second, of a server whose answers may get lost."""
    app = create_app(MemoryQueue())
    app.add_middleware(losing.around)
    with serving(app) as url, ApiClient(url, timeout=IMPATIENT_S) as client:
        client.put({"a": 1, "b": 2})
        losing.asked.clear()
        yield client


def test_a_put_whose_answer_was_lost_is_put_again_and_stored_once(
    client: ApiClient, losing: Losing
) -> None:
    losing.next_answers = 1
    with pytest.warns(UserWarning, match="Item 'c' already in queue"):
        client.put({"c": 3})

    assert losing.asked == ["put", "put"]
    assert client.size(Stage.WAITING) == 3


def test_a_claim_that_was_settled_though_the_answer_was_lost_is_settled(
    client: ApiClient, losing: Losing
) -> None:
    claim, other = client.get(2, lease_s=60)

    losing.next_answers = 1
    client.success(claim, result="done")
    losing.next_answers = 1
    client.fail(other, reason="why")

    assert client.lookup_task("a").result == "done"
    assert client.lookup_task("b").reason == "why"
    assert losing.asked.count("settle") == 4


def test_a_claim_that_was_handed_back_though_the_answer_was_lost_is_handed_back(
    client: ApiClient, losing: Losing
) -> None:
    (claim,) = client.get(1, lease_s=60)
    losing.next_answers = 1

    client.release(claim)

    assert (client.lookup_status("a"), client.lookup_task("a").attempts) == (Stage.WAITING, 0)


def test_that_another_has_settled_it_is_not_taken_for_ones_own_doing(
    client: ApiClient, losing: Losing
) -> None:
    (claim,) = client.get(1, owner="w")
    client.release("a", owner="w")
    (again,) = client.get(1, owner="w")
    client.success(again)
    losing.next_answers = 1

    with pytest.raises(ClaimLost):
        client.success(claim)


@pytest.mark.parametrize("verb", ["get", "success", "requeue", "refuse", "purge"])
def test_what_is_not_as_good_twice_is_not_asked_again(
    client: ApiClient, losing: Losing, verb: str
) -> None:
    tries: dict[str, Callable[[], object]] = {
        "get": lambda: client.get(1, lease_s=0.01),
        "success": lambda: client.success("a"),
        "requeue": lambda: client.requeue("a"),
        "refuse": lambda: client.refuse("a", reason=""),
        "purge": lambda: client.purge(timedelta()),
    }
    losing.next_answers = 1

    with pytest.raises(StoreUnreachable) as raised:
        tries[verb]()

    assert "is open" in raised.value.remedy
    assert len(losing.asked) == 1
    if verb == "get":  # what the lost answer took along comes back
        wait_until(lambda: client.size(Stage.WAITING) == 2, 10, what="the lease to run out")


class Away(MemoryQueue):
    """A store that does not answer the next few times."""

    times = 0

    def _sizes(self) -> dict[Stage, int]:
        if self.times:
            self.times -= 1
            raise StoreUnreachable("The store is away.", remedy="Wait.")
        return super()._sizes()


def test_a_store_that_comes_back_soon_is_waited_for_and_one_that_does_not_is_named() -> None:
    queue = Away()
    with serving(create_app(queue)) as url, ApiClient(url, retries=2) as client:
        queue.times = 1
        assert client.sizes()["WAITING"] == 0
        queue.times = 100
        with pytest.raises(StoreUnreachable, match="The store is away"):
            client.sizes()
        assert queue.times == 97


def test_where_nobody_listens_that_is_said() -> None:
    with (
        ApiClient("localhost:1", retries=0) as client,
        pytest.raises(StoreUnreachable, match=r"http://localhost:1/api/v1/queue/.*refused"),
    ):
        client.get()


def test_a_server_that_starts_a_little_later_is_waited_for() -> None:
    with serving(create_app(MemoryQueue())) as url:
        pass
    port = int(url.rpartition(":")[2])
    got: list[object] = []
    with ApiClient(url) as client:
        asking = threading.Thread(target=lambda: got.append(client.get()))
        asking.start()
        with serving(create_app(MemoryQueue()), port=port):
            asking.join(20)
    assert got == [[]]


class Shop(BaseHTTPRequestHandler):
    """Not a task queue."""

    says = b"<h1>Welcome to our shop</h1>"
    status = 200

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.says)

    do_POST = do_DELETE = do_GET  # noqa: N815 - the names of http.server

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def shop(says: bytes = Shop.says, status: int = 200) -> Iterator[str]:
    own = type("AnotherShop", (Shop,), {"says": says, "status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), own) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_what_is_no_task_queue_is_told_from_one() -> None:
    with shop() as url, ApiClient(url) as client:
        with pytest.raises(StoreUnfit, match="is no task queue"):
            client.sizes()
        with pytest.raises(StoreUnfit, match="is no task queue"):
            client.put({"a": 1})


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, b'{"detail": "Not Found"}'),
        (409, b'{"detail": "Not now"}'),
        (200, b"{}"),
        (200, b'{"detail": "Welcome"}'),
        (200, b'[["a"], {"b": 1}]'),
        (200, b"3"),
    ],
)
def test_another_service_that_speaks_json_is_told_from_a_queue(status: int, says: bytes) -> None:
    claim = Claim("a", 1, owner="me", attempt=1, move=2, lease_ends=None)
    with shop(says, status) as url, ApiClient(url) as client:
        for ask in (
            lambda: client.lookup_status("a"),
            lambda: client.put({"a": 1}),
            lambda: client.get(),
            lambda: client.peek(),
            lambda: client.success(claim),
            lambda: client.extend(claim, 1),
            lambda: client.release(claim),
            lambda: client.refuse("a", reason="no"),
            lambda: client.requeue("a"),
            lambda: client.purge(timedelta()),
            lambda: client.sizes(),
            lambda: client.lookup_state(Stage.FAIL),
            lambda: client.description(),
            lambda: client.check(),
        ):
            with pytest.raises(StoreUnfit, match="is no task queue"):
                ask()


def test_what_is_refused_at_the_door_never_travels() -> None:
    with ApiClient("localhost:1") as client:
        with pytest.raises(BadTask, match="not JSON"):
            client.put({"a": float("nan")})
        with pytest.raises(BadTask):
            client.get(-1)
        assert client.get(0) == []
        assert client.put({}) == 0


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("localhost:8080", "http://localhost:8080/api/v1/queue/"),
        ("http://localhost:8080", "http://localhost:8080/api/v1/queue/"),
        ("https://queue.example/team/", "https://queue.example/team/api/v1/queue/"),
        ("[::1]:8080", "http://[::1]:8080/api/v1/queue/"),
    ],
)
def test_an_address_may_be_short_or_a_url(given: str, base: str) -> None:
    with ApiClient(given) as client:
        assert client.api_base_url == base


@pytest.mark.parametrize(
    "given",
    [
        "",
        "http://",
        "ftp://x",
        "localhost:port",
        "http://x/?y",
        "http://x?token=secret",
        "http://me:secret@x",
        "http://me:se/secret@x",
        "amqp://me:se@secret@x/",
        "mysql://me:secret@x/db",
    ],
)
def test_what_is_no_address_is_refused_and_no_secret_shown(given: str) -> None:
    with pytest.raises(BadInput) as refused:
        ApiClient(given)
    assert "secret" not in str(refused.value)


def test_a_token_that_can_not_be_sent_is_refused_unseen() -> None:
    for token in "se\ncret", "sécret", "se\0cret":
        with pytest.raises(BadInput, match="can't be sent") as refused:
            ApiClient("localhost:8080", token=token)
        assert "cret" not in f"{refused.value} {refused.value.remedy}"


def test_a_token_may_come_from_a_file_whose_line_ends() -> None:
    app = create_app(MemoryQueue(), token="secret")
    with serving(app) as url, ApiClient(url, token="secret\n") as client:
        assert client.sizes()["WAITING"] == 0


def test_a_server_before_a_database_serves_many_clients_each_task_once(tmp_path: Path) -> None:
    with SqlQueue.connect(f"sqlite:///{tmp_path / 'tasks.db'}", "test") as queue:
        with serving(create_app(queue)) as url, ApiClient(url) as client:
            client.put({f"task {n}": n for n in range(60)})
            got: list[str] = []

            def work() -> None:
                with ApiClient(url, timeout=60) as worker:
                    while claims := worker.get(3, lease_s=60):
                        got.extend(claim.id for claim in claims)
                        for claim in claims:
                            worker.success(claim, result=claim.body)

            workers = [threading.Thread(target=work) for _ in range(4)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(60)
            assert sorted(got) == sorted(f"task {n}" for n in range(60))
            described = client.description()
            assert described["implementation"] == "SQLQueue"
            assert set(described["arguments"]) == {"connection_string", "queue_name"}
            with pytest.raises(UnknownTask):
                client.lookup_item("ghost")
        assert queue.sizes()["SUCCESS"] == 60
