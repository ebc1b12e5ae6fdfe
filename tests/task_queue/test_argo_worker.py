"""Tasks as workflows on Argo, against a small server whose every word is held against Argo's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from labs.broker.ports import free_port
from labs.errors import BadInput
from labs.task_queue.memory import MemoryQueue
from labs.task_queue.stages import Stage
from labs.task_queue.work_queue import WorkQueue
from labs.task_queue.workers.argo import ArgoWorker, ArgoWorkflowsQueueWorker
from labs.task_queue.workers.argo_labels import LABEL, annotation_of, id_in, id_of, label_of
from labs.task_queue.workers.base import JobRefused, WorkerUnreachable
from tests.task_queue.argo_fake import ArgoFake, openapi, served

BODY = {
    "submit_body": {
        "resourceKind": "WorkflowTemplate",
        "resourceName": "resize",
        "submitOptions": {"parameters": ["file=cat.png"], "labels": "team=blue"},
    },
    "resources": {"gpus": 1},
}
IDS = ["plain", "x-ray", "h-1", "a/b", "ünï 😀", "-dash-", "nul\0", "a=b,c=d", "a" * 63, "a" * 64]
LONG_IDS = ["/" * 512, "😀" * 512]

Serve = Callable[..., ArgoFake]


@pytest.fixture
def argo() -> Iterator[ArgoFake]:
    with served(ArgoFake()) as fake:
        yield fake
    assert fake.problems == []


@pytest.fixture
def make(argo: ArgoFake) -> Iterator[Callable[..., ArgoWorker]]:
    made: list[ArgoWorker] = []

    def one(interface_id: str = "ours", **settings: Any) -> ArgoWorker:
        made.append(ArgoWorker(interface_id, argo.url, "argo", **settings))
        return made[-1]

    yield one
    for worker in made:
        worker.close()


@pytest.fixture
def worker(make: Callable[..., ArgoWorker]) -> ArgoWorker:
    return make()


def name_of(argo: ArgoFake, id_: str) -> str:
    [name] = argo.named(label_of(id_))
    return name


# --- Labels -----------------------------------------------------------------------------------


@given(some.text(min_size=1, max_size=512).filter(lambda text: text.isprintable() or True))
def test_any_id_has_a_label_that_kubernetes_takes(id_: str) -> None:
    label = label_of(id_)
    assert LABEL.fullmatch(label)
    assert id_of(label) in (id_, None)
    annotation = annotation_of(id_)
    assert not set(annotation) & set(",= ")
    assert id_in(annotation) == id_


@given(some.text(min_size=1, max_size=36), some.text(min_size=1, max_size=36))
def test_two_ids_never_have_the_same_label(one: str, other: str) -> None:
    assert (label_of(one) == label_of(other)) == (one == other)


def test_an_id_that_can_be_a_label_is_one_and_others_can_be_read_from_theirs() -> None:
    assert label_of("task-7.b_C") == "task-7.b_C"
    for id_ in IDS[:-1]:
        assert id_of(label_of(id_)) == id_
    for label in ("x-", "x-1", "x-zz", "h-", ""):
        assert id_of(label) in (None, "")


# --- Jobs -------------------------------------------------------------------------------------


def test_a_task_is_submitted_with_labels_that_say_whose_it_is(
    worker: ArgoWorker, argo: ArgoFake
) -> None:
    worker.send_job("task", BODY)
    [order] = argo.orders
    assert order["resourceName"] == "resize"
    assert order["submitOptions"]["parameters"] == ["file=cat.png"]
    assert argo.workflows[name_of(argo, "task")]["metadata"]["labels"] == {
        "team": "blue",
        "work-queue.interface-id": "ours",
        "work-queue.queue-item-id": "task",
        "workflows.argoproj.io/phase": "Running",
    }
    assert argo.requests == [("POST", "/api/v1/workflows/argo/submit")]


def test_the_body_is_not_changed(worker: ArgoWorker) -> None:
    body = copy.deepcopy(BODY)
    worker.send_job("😀" * 512, body)
    assert body == BODY


@pytest.mark.parametrize("given", [None, "", "work-queue.queue-item-id=forged", "a=b,"])
def test_our_labels_are_the_ones_that_count(worker: ArgoWorker, given: str | None) -> None:
    order = {"resourceName": "resize", "submitOptions": {"labels": given}}
    worker.send_job("task", {"submit_body": order})
    assert worker.poll_all_status() == {"task": Stage.PROCESSING}


def test_ids_may_be_any_text(
    worker: ArgoWorker, make: Callable[..., ArgoWorker], argo: ArgoFake
) -> None:
    for id_ in (*IDS, *LONG_IDS):
        worker.send_job(id_, BODY)
    assert worker.poll_all_status() == dict.fromkeys((*IDS, *LONG_IDS), Stage.PROCESSING)
    assert make().poll_all_status() == worker.poll_all_status()  # read from the server alone
    for id_ in (*IDS, *LONG_IDS):
        worker.delete_job(id_)
    assert worker.poll_all_status() == {}
    assert argo.workflows == {}


def test_how_a_workflow_stands_is_read_from_its_labels(worker: ArgoWorker, argo: ArgoFake) -> None:
    assert worker.poll_all_status() == {}  # where a list says null
    ends = {"good": "Succeeded", "bad": "Failed", "worse": "Error", "running": ""}
    for id_, phase in ends.items():
        worker.send_job(id_, BODY)
        if phase:
            argo.end(name_of(argo, id_), phase, "step 2 has no disk")
    assert worker.poll_all_status() == {
        "good": Stage.SUCCESS,
        "bad": Stage.FAIL,
        "worse": Stage.FAIL,
        "running": Stage.PROCESSING,
    }


def test_tasks_are_settled_with_what_argo_says_of_them(worker: ArgoWorker, argo: ArgoFake) -> None:
    queue = MemoryQueue()
    queue.put({"good": BODY, "bad": BODY, "no order": {"resources": {}}})
    work = WorkQueue(queue, worker)
    work.push_next_jobs(3)
    argo.logs[name_of(argo, "good"), "main"] = ["line 1", "line 2"]
    argo.logs[name_of(argo, "bad"), "main"] = ["Killed."]
    argo.end(name_of(argo, "good"))
    argo.end(name_of(argo, "bad"), "Failed", "OOMKilled (exit code 137)")
    work.update_job_status()
    assert queue.lookup_task("good").result == {
        "workflow": "workflow-0001",
        "phase": "Succeeded",
        "log": "line 1\nline 2",
    }
    reason = "The workflow workflow-0002 has ended as Failed. OOMKilled (exit code 137)"
    assert queue.lookup_task("bad").reason == f"{reason} Its last words:\nKilled."
    assert "no submit_body" in queue.lookup_task("no order").reason
    assert argo.workflows == {}


def test_the_newest_of_a_tasks_workflows_counts(worker: ArgoWorker, argo: ArgoFake) -> None:
    labels = {"work-queue.interface-id": "ours", "work-queue.queue-item-id": "task"}
    newest = argo.add(dict(labels), created="2030-02-01T00:00:00Z")
    oldest = argo.add(dict(labels), created="2029-01-01T00:00:00Z")
    argo.end(oldest, "Failed")
    assert worker.poll_all_status() == {"task": Stage.PROCESSING}
    argo.end(newest)
    assert worker.poll_all_status() == {"task": Stage.SUCCESS}
    worker.delete_job("task")
    assert worker.poll_all_status() == {}  # an older one does not come up again


def test_of_two_in_the_same_second_the_one_that_was_sent_last_counts(
    worker: ArgoWorker, argo: ArgoFake
) -> None:
    worker.send_job("task", BODY)
    ours = argo.workflows[name_of(argo, "task")]["metadata"]
    other = argo.add(dict(ours["labels"]), created=ours["creationTimestamp"])
    assert other > ours["name"]
    argo.end(other, "Failed")
    assert worker.poll_all_status() == {"task": Stage.PROCESSING}


def test_others_workflows_are_left_alone(
    worker: ArgoWorker, make: Callable[..., ArgoWorker], argo: ArgoFake
) -> None:
    theirs = make("theirs")
    theirs.send_job("task", BODY)
    argo.add({"team": "red"})
    argo.add({"work-queue.interface-id": "ours"})
    argo.add({"work-queue.interface-id": "ours", "work-queue.queue-item-id": "x-zz"})
    worker.send_job("task", BODY)
    assert worker.poll_all_status() == {"task": Stage.PROCESSING}
    worker.delete_job("task")
    assert theirs.poll_all_status() == {"task": Stage.PROCESSING}
    assert len(argo.workflows) == 4


def test_lists_come_in_pages(worker: ArgoWorker, argo: ArgoFake) -> None:
    argo._page = 3
    ids = {f"task {n}" for n in range(10)}
    for id_ in ids:
        worker.send_job(id_, BODY)
    assert worker.poll_all_status().keys() == ids
    argo.forgets_pages = 2
    assert worker.poll_all_status().keys() == ids


def test_a_list_that_lags_behind_loses_no_job(worker: ArgoWorker, argo: ArgoFake) -> None:
    worker.send_job("task", BODY)
    name = name_of(argo, "task")
    argo.hidden = {name}
    assert worker.poll_all_status() == {"task": Stage.PROCESSING}
    argo.hidden = set()
    assert worker.poll_all_status() == {"task": Stage.PROCESSING}
    del argo.workflows[name]  # by somebody else
    assert worker.poll_all_status() == {}


def test_logs_are_fetched_before_a_workflow_is_deleted(
    make: Callable[..., ArgoWorker], argo: ArgoFake, tmp_path: Path
) -> None:
    worker = make(logs=tmp_path)
    worker.send_job("task", BODY)
    name = name_of(argo, "task")
    argo.logs = {(name, "main"): ["hello", "ünï"], (name, "wait"): ["waited"]}  # and no init
    argo.requests.clear()
    worker.delete_job("task")
    path = f"/api/v1/workflows/argo/{name}"
    assert argo.requests[1:] == [
        ("GET", f"{path}/log?logOptions.container=main"),
        ("GET", f"{path}/log?logOptions.container=wait"),
        ("GET", f"{path}/log?logOptions.container=init"),
        ("DELETE", path),
    ]
    assert (tmp_path / name / "main.log").read_text() == "hello\nünï\n"
    assert (tmp_path / name / "wait.log").read_text() == "waited\n"
    worker.delete_job("task")  # once more is no error


def test_a_restarted_controller_finds_its_workflows(
    make: Callable[..., ArgoWorker], argo: ArgoFake
) -> None:
    queue = MemoryQueue()
    queue.put(dict.fromkeys((*LONG_IDS, "short"), BODY))
    WorkQueue(queue, make()).push_next_jobs(3)
    for workflow in argo.workflows.values():
        workflow["metadata"]["annotations"] = {}  # as by a server that keeps none
    again = WorkQueue(queue, make())
    assert again.update_job_status() == {}
    for name in list(argo.workflows):
        argo.end(name)
    assert len(again.update_job_status()) == 3
    assert queue.size(Stage.SUCCESS) == 3
    assert len(argo.orders) == 3


# --- Whose fault it is ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503, 302, 200])
def test_a_server_in_trouble_is_nobodys_fault(
    worker: ArgoWorker, argo: ArgoFake, status: int
) -> None:
    worker.send_job("task", BODY)
    argo.trouble = status
    for ask in (
        worker.poll_all_status,
        lambda: worker.send_job("other", BODY),
        lambda: worker.delete_job("task"),
    ):
        with pytest.raises(WorkerUnreachable) as told:
            ask()
        assert told.value.remedy
    argo.trouble = None
    assert worker.poll_all_status() == {"task": Stage.PROCESSING}


def test_a_server_that_is_not_there_is_nobodys_fault_either() -> None:
    worker = ArgoWorker("ours", f"http://127.0.0.1:{free_port()}", "argo")
    queue = MemoryQueue()
    queue.put({"task": BODY})
    work = WorkQueue(queue, worker)
    assert work.push_next_jobs() == []
    assert "ConnectError" in work.trouble
    assert queue.size(Stage.WAITING) == 1


def test_a_submission_whose_answer_is_lost_is_found_and_not_repeated(
    worker: ArgoWorker, argo: ArgoFake
) -> None:
    queue = MemoryQueue()
    queue.put({"task": BODY})
    work = WorkQueue(queue, worker, first_pause_s=0)
    argo.trouble_at = ("POST", 504)
    assert work.push_next_jobs() == []
    argo.trouble_at = None
    work.update_job_status()
    assert len(argo.workflows) == 1
    argo.end(name_of(argo, "task"))
    assert work.update_job_status() == {"task": Stage.SUCCESS}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "no submit_body"),
        ({"submit_body": "x"}, "no submit_body"),
        ({"submit_body": {"submitOptions": 7}}, "submitOptions is no dict"),
        ({"submit_body": {"submitOptions": {"labels": {}}}}, "labels are no text"),
        ({"submit_body": {}}, "400 Bad Request. resource name is required"),
        (
            {"submit_body": {"resourceName": "x", "submitOptions": {"labels": "a=b=c"}}},
            "unexpected label spec",
        ),
    ],
)
def test_what_argo_refuses_is_the_jobs_fault(worker: ArgoWorker, body: object, why: str) -> None:
    with pytest.raises(JobRefused, match=why):
        worker.send_job("task", body)
    assert worker.poll_all_status() == {}


# --- The token, and what can't be -------------------------------------------------------------


@pytest.mark.parametrize("written", ["s3cret", "Bearer s3cret"])
def test_a_token_lets_us_in_and_is_never_shown(written: str) -> None:
    with served(ArgoFake(token="s3cret")) as argo:
        worker = ArgoWorker("ours", argo.url, "argo", token=written)
        worker.send_job("task", BODY)
        assert worker.poll_all_status() == {"task": Stage.PROCESSING}
        argo._token = "another"
        with pytest.raises(WorkerUnreachable, match="401") as told:
            worker.poll_all_status()
        assert "Is the token right" in told.value.remedy
        for text in (repr(worker), worker.backend, str(told.value), repr(vars(worker))):
            assert "s3cret" not in text


def test_a_token_that_can_not_be_sent_is_refused_unseen() -> None:
    with pytest.raises(BadInput, match="can't be sent") as refused:
        ArgoWorker("me", "http://localhost:1", "argo", token="se\ncret")
    assert "cret" not in f"{refused.value} {refused.value.remedy}"


def test_a_password_in_the_endpoint_is_never_shown() -> None:
    worker = ArgoWorker("ours", f"http://ann:s3cret@127.0.0.1:{free_port()}", "argo")
    with pytest.raises(WorkerUnreachable) as told:
        worker.poll_all_status()
    assert "s3cret" not in str(told.value) + repr(worker)


@pytest.mark.parametrize("endpoint", ["", "localhost:2746", "ftp://x", "http://"])
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(BadInput):
        ArgoWorker("ours", endpoint, "argo")


def test_a_certificates_file_that_is_not_there_is_told() -> None:
    with pytest.raises(BadInput, match="certificate"):
        ArgoWorker("ours", "https://localhost", "argo", verify="/no/such.pem")


def test_the_known_name_is_the_same_worker() -> None:
    assert ArgoWorkflowsQueueWorker is ArgoWorker


# --- The judge of the tests -------------------------------------------------------------------


def test_what_is_not_as_argo_says_is_noticed() -> None:
    fake = ArgoFake()
    fake._submit({"resourceName": "x", "submitOptions": {"labels": "a=b", "priority": "high"}})
    assert "priority" in fake.problems[0]


def test_argos_own_document_has_a_say_where_it_is_at_hand() -> None:
    if openapi() is None:  # in CI too: it is no part of the project
        pytest.skip("no argo-openapi.json is at hand (LABS_ARGO_OPENAPI)")
    fake = ArgoFake()
    fake._check("grpc.gateway.runtime.Error", {"code": "not a number"})
    assert "grpc.gateway.runtime.Error" in fake.problems[0]
    paths = (openapi() or {})["paths"]
    assert "post" in paths["/api/v1/workflows/{namespace}/submit"]
    assert {"get", "delete"} <= paths["/api/v1/workflows/{namespace}/{name}"].keys()
    names = {one["name"] for one in paths["/api/v1/workflows/{namespace}"]["get"]["parameters"]}
    asked = {"listOptions.labelSelector", "listOptions.limit", "listOptions.continue", "fields"}
    assert asked <= names
