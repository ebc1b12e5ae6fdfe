"""What can be wrong with an S3 store: a sentence each, no secret in any, and nothing lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest

from labs.errors import BadInput, LabError
from labs.task_queue.errors import StoreUnfit, StoreUnreachable
from labs.task_queue.local_s3 import LocalS3
from labs.task_queue.queue import TaskQueue
from labs.task_queue.s3 import json_s3_queue
from labs.task_queue.s3_tasks import Home
from labs.task_queue.stages import Stage
from tests.task_queue.s3 import S3Place
from tests.task_queue.s3_careless import Objects, careless_s3

LOGIN = {"access_key_id": "somebody", "secret_access_key": "verysecret"}


@pytest.mark.parametrize(
    ("heeds", "missing"),
    [
        ((), "If-None-Match: *"),
        (("If-Match",), "If-None-Match: *"),
        (("If-None-Match",), "If-Match"),
    ],
)
def test_a_store_that_ignores_a_condition_is_refused_at_the_start(
    heeds: tuple[str, ...], missing: str
) -> None:
    with careless_s3(*heeds) as server, pytest.raises(StoreUnfit) as refused:
        json_s3_queue("bucket/q", endpoint_url=server.endpoint, **LOGIN)
    assert f"does not heed {missing}" in str(refused.value)
    assert refused.value.remedy
    assert "verysecret" not in f"{refused.value!r} {refused.value.remedy}"


def test_a_store_that_can_only_not_delete_on_a_condition_will_do() -> None:
    """A purged task then leaves a small object, which another put of the id takes over."""
    with (
        careless_s3("If-None-Match", "If-Match") as server,
        json_s3_queue("bucket/q", endpoint_url=server.endpoint, **LOGIN) as queue,
    ):
        queue.put({"a": 1})
        queue.success(*queue.get())
        assert queue.purge(timedelta()) == 1
        assert list(server.kept) == ["q/tasks/a"]
        with pytest.raises(KeyError):
            queue.lookup_status("a")
        queue.put({"a": 2})
        assert queue.get(2) == [("a", 2)]


@pytest.fixture
def server() -> Iterator[Objects]:
    """One that heeds all conditions, and can be told to fail."""
    with careless_s3("If-None-Match", "If-Match", "delete") as server:
        yield server


def test_an_answer_that_was_lost_on_its_way_is_found_again(server: Objects) -> None:
    """The store was busy for a moment: the request is made again, and has one effect."""
    with json_s3_queue("bucket/q", endpoint_url=server.endpoint, **LOGIN) as queue:
        server.errors = [(503, "SlowDown")]
        queue.put({"a": 1})
        server.errors = [(500, "InternalError")]
        assert queue.get() == [("a", 1)]
        server.errors = [(503, "SlowDown"), (503, "SlowDown")]
        queue.success("a")
        assert queue.sizes() == {"WAITING": 0, "PROCESSING": 0, "SUCCESS": 1, "FAIL": 0}


def test_a_store_without_room_says_so_and_keeps_what_it_has(server: Objects) -> None:
    with json_s3_queue("bucket/q", endpoint_url=server.endpoint, **LOGIN) as queue:
        queue.put({"a": 1})
        server.errors = [(500, "Full")]
        with pytest.raises(StoreUnreachable) as refused:
            queue.put({"b": 2})
        assert "500 Full" in str(refused.value)
        assert "disk" in refused.value.remedy
        server.errors = []
        queue.put({"b": 2})
        assert queue.get(3) == [("a", 1), ("b", 2)]


def test_more_than_a_store_lists_at_once_is_listed_in_parts(server: Objects) -> None:
    with json_s3_queue("bucket/q", endpoint_url=server.endpoint, **LOGIN) as queue:
        queue.put({"a": 1})
        (key,) = (key for key in server.kept if key.startswith("q/waiting/"))
        server.kept |= {f"{key}{n:04}": b"" for n in range(2500)}
        assert len(queue._moves.listed(Home.WAITING, limit=2000)) == 2000
        assert len(queue._moves.listed(Home.WAITING, limit=9000)) == 2501


def test_a_bucket_that_is_not_there_is_named(s3_place: S3Place) -> None:
    with pytest.raises(StoreUnreachable) as refused:
        json_s3_queue("no-such-bucket/q", **s3_place.access)
    assert "no-such-bucket" in str(refused.value)
    assert "NoSuchBucket" in str(refused.value)
    assert "Make the bucket" in refused.value.remedy


def test_a_port_at_which_nobody_listens_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StoreUnreachable) as refused:
            json_s3_queue("bucket/q", endpoint_url=endpoint, **LOGIN)
    assert endpoint in str(refused.value)
    assert "nobody listens there" in str(refused.value)


@pytest.mark.parametrize(
    "path", ["", "s3://", "b", "bucket/../other", "bucket//x", "bucket/a\nb", "http://bucket/x"]
)
def test_a_path_that_names_no_place_is_refused(path: str) -> None:
    with pytest.raises(BadInput, match="is no place in an S3 store"):
        json_s3_queue(path, **LOGIN)


def test_without_credentials_the_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(BadInput) as refused:
        json_s3_queue("bucket/q")
    assert "AWS_ACCESS_KEY_ID" in refused.value.remedy


def test_an_endpoint_with_a_password_in_it_is_refused_unseen() -> None:
    with pytest.raises(BadInput) as refused:
        json_s3_queue("bucket/q", endpoint_url="http://me:hidden@host", **LOGIN)
    assert "hidden" not in f"{refused.value} {refused.value.remedy}"


@pytest.mark.parametrize("variable", ["FSSPEC_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"])
def test_the_usual_variables_lead_there(
    s3_place: S3Place, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not s3_place.access:
        pytest.skip("the variables are those of the store that was named")
    monkeypatch.setenv(variable, s3_place.access["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_place.access["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_place.access["secret_access_key"])
    with json_s3_queue(s3_place.base_path.removeprefix("s3://")) as queue:
        queue.put({"a": 1})
        assert queue.description() == {
            "implementation": "s3",
            "s3_path": s3_place.base_path,
            "endpoint": s3_place.access["endpoint_url"],
        }
        shown = f"{queue.description()} {queue!r} {vars(queue)} {vars(queue._bucket)}"
        assert s3_place.access["secret_access_key"] not in shown


def test_no_id_leads_out_of_the_queues_place(s3_place: S3Place) -> None:
    """Nor into another queue, whose prefix begins with the same letters."""
    beside = S3Place(f"{s3_place.base_path}-beside", s3_place.access)
    ids = ["../x", "/other/x", "..", ".", "%2E%2E", "a/b", "~", "=" + 64 * "a", 512 * "😀", "a\0b"]
    with s3_place.open() as queue, beside.open() as other:
        other.put({"theirs": 0})
        queue.put({id_: id_ for id_ in ids})
        inside = {entry.key for entry in queue._bucket.list_all(queue._moves.base)}
        objects = {key for key in inside if "/tasks/" in key}
        assert len(objects) == len(ids)
        assert all(key.count("/") == queue._moves.base.count("/") + 1 for key in inside)
        assert queue.lookup_state(Stage.WAITING) == ids
        assert queue.lookup_state(Stage.WAITING, limit=50) == ids
        assert [claim.id for claim in queue.get(50)] == ids
        assert other.get(5) == [("theirs", 0)]


def test_a_store_that_restarts_amid_the_work_costs_errors_and_no_task(own_s3: LocalS3) -> None:
    ids = [f"task/{n}" for n in range(40)]
    with json_s3_queue(own_s3.base_path, **own_s3.access) as queue:
        queue.put(dict.fromkeys(ids, 1))
        restart = threading.Thread(target=crash_and_start, args=[own_s3])
        errors: list[LabError] = []
        deadline = time.monotonic() + 60
        while queue_has_work(queue, errors) and time.monotonic() < deadline:
            try:
                for claim in queue.get(3, lease_s=2):
                    queue.success(claim)
                if not restart.ident:
                    restart.start()
            except LabError as error:
                errors.append(error)
        restart.join()
        assert queue.sizes() == {"WAITING": 0, "PROCESSING": 0, "SUCCESS": 40, "FAIL": 0}
    assert all(isinstance(error, LabError) and error.remedy for error in errors)


def crash_and_start(server: LocalS3) -> None:
    server.crash()
    server.start()


def queue_has_work(queue: TaskQueue, errors: list[LabError]) -> bool:
    try:
        return queue.sizes()["SUCCESS"] < 40
    except LabError as error:
        errors.append(error)
        return True


class Death(BaseException):
    """The writer is gone."""


def test_a_writer_that_dies_amid_a_write_leaves_what_was_there(s3_place: S3Place) -> None:
    """SeaweedFS keeps an empty object instead, unless a digest comes with the headers."""

    def die_amid(request: AWSPreparedRequest, **_: object) -> None:
        url = urlsplit(request.url)
        lines = [f"PUT {url.path} HTTP/1.1", f"Host: {url.netloc}"]
        for name, value in request.headers.items():
            lines.append(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
        with socket.create_connection((str(url.hostname), url.port or 80)) as writer:
            writer.sendall("\r\n".join([*lines, "", ""]).encode())
            writer.shutdown(socket.SHUT_WR)
            writer.settimeout(30)
            while writer.recv(1000):
                pass
        raise Death

    with s3_place.open() as queue, s3_place.open() as mortal:
        bucket, key = queue._bucket, f"{queue._moves.base}tasks/cut"
        bucket.write(key, b"as it was")
        mortal._bucket._s3().meta.events.register("before-send.s3", die_amid)
        with pytest.raises(Death):
            mortal._bucket.write(key, b"x" * 1000)
        there = bucket.read(key)
        assert there
        assert there[0] == b"as it was"
