"""A worker that runs each task as a workflow on Argo Workflows, through its server's REST API.

A body holds what Argo's submit endpoint wants, `{"submit_body": {"resourceKind": …,
"resourceName": …, "submitOptions": …}}`. The workflow gets two labels: of whom it is
(`work-queue.interface-id`) and of which task (`work-queue.queue-item-id`, `argo_labels`); by them
it is found again, and by Argo's own labels it is known how it stands. Others' workflows are not
looked at. A server that is out of reach, overloaded, or does not let us in is nobody's fault; what
it refuses otherwise is the job's. `argo_server` speaks HTTP.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from labs.task_queue.stages import Stage
from labs.task_queue.tasks import Json, admitted_name
from labs.task_queue.workers.argo_labels import annotation_of, id_in, id_of, is_digest, label_of
from labs.task_queue.workers.argo_server import ArgoServer
from labs.task_queue.workers.base import JobRefused, Report

log = logging.getLogger(__name__)

INTERFACE = "work-queue.interface-id"
ITEM = "work-queue.queue-item-id"
COMPLETED = "workflows.argoproj.io/completed"
PHASE = "workflows.argoproj.io/phase"
CONTAINERS = ("main", "wait", "init")
TAIL_CHARACTERS = 2000

Workflow = dict[str, Any]


class ArgoWorker:
    """Workflows in one namespace of an Argo server.

    Args:
        worker_interface_id: whose the workflows are; no other worker on the server has it.
        endpoint: the server, such as `https://argo.example.org:2746`.
        namespace: where the workflows run.
        token: a bearer token, if the server wants one.
        verify: whether its certificate is checked; or the file of who has signed it.
        timeout_s: for an answer.
        logs: a folder in which the logs of deleted workflows are kept; None: they are logged.

    Raises:
        BadTask: the id can't be one.
        BadInput: the endpoint is no URL, or the certificate's file can't be read.
    """

    def __init__(
        self,
        worker_interface_id: str,
        endpoint: str,
        namespace: str,
        *,
        token: str | None = None,
        verify: bool | str = True,
        timeout_s: float = 10.0,
        logs: str | Path | None = None,
    ) -> None:
        self._interface_id = admitted_name(worker_interface_id, "A worker's interface id")
        self._namespace = namespace
        self._server = ArgoServer(
            endpoint, namespace, token=token, verify=verify, timeout_s=timeout_s
        )
        self._logs = Path(logs) if logs is not None else None
        self._ids: dict[str, str] = {}
        """Labels that can't be read, to ids."""
        self._submitted: dict[str, str] = {}
        """Ids to the names of the workflows that were submitted last, in this life."""
        self._unseen: set[str] = set()
        """Ids whose workflow no list has shown yet: a list may lag behind."""
        self._newest: dict[str, Workflow] = {}

    @property
    def backend(self) -> str:
        """Named by the interface id, and the namespace."""
        return f"argo/{self._namespace}/{self._interface_id}"

    def take_up(self, sent: Collection[str], doubtful: Collection[str]) -> None:
        """Their workflows are found by their labels; see `workers.base.Restartable`."""
        self._ids |= {label_of(id_): id_ for id_ in (*sent, *doubtful)}

    def send_job(self, queue_item_id: str, queue_item_body: Json, /) -> None:
        """Submit a workflow.

        Raises:
            JobRefused: the body has no `submit_body`, or Argo refuses it.
            WorkerUnreachable: the server does not answer, or is overloaded, or lets nobody in.
        """
        workflow = self._server.submit(self._order(queue_item_id, queue_item_body))
        self._ids[label_of(queue_item_id)] = queue_item_id
        self._submitted[queue_item_id] = workflow["metadata"]["name"]
        self._unseen.add(queue_item_id)

    def poll_all_status(self) -> dict[str, Stage]:
        """How the workflows stand; of several for one task, the newest counts.

        Raises:
            WorkerUnreachable: the server does not answer, or is overloaded, or lets nobody in.
        """
        found = self._server.workflows(f"{INTERFACE}={label_of(self._interface_id)}")
        newest = self._newest_of(found)
        for id_ in self._unseen - newest.keys():
            if workflow := self._server.get(self._submitted[id_]):
                newest[id_] = workflow
        self._unseen -= {id_ for id_, one in newest.items() if one in found}
        self._newest = newest
        return {id_: _stage(workflow) for id_, workflow in newest.items()}

    def explain(self, queue_item_id: str, /) -> Report:
        """What Argo says of the workflow, and the last of its log."""
        workflow = self._newest[queue_item_id]
        name = workflow["metadata"]["name"]
        phase = _labels(workflow).get(PHASE, "?")
        message = (workflow.get("status") or {}).get("message") or ""
        tail = "\n".join(self._server.log(name, "main"))[-TAIL_CHARACTERS:]
        reason = f"The workflow {name} has ended as {phase}. {message}".strip()
        return Report(
            result={"workflow": name, "phase": phase, "log": tail},
            reason=f"{reason} Its last words:\n{tail}" if tail else reason,
        )

    def delete_job(self, queue_item_id: str, /) -> None:
        """Keep the logs of the task's workflows, and delete them all.

        Raises:
            WorkerUnreachable: the server does not answer, or is overloaded, or lets nobody in.
            JobRefused: it refuses to.
        """
        selector = f"{INTERFACE}={label_of(self._interface_id)},{ITEM}={label_of(queue_item_id)}"
        names = {workflow["metadata"]["name"] for workflow in self._server.workflows(selector)}
        if queue_item_id in self._unseen:
            names.add(self._submitted[queue_item_id])
        for name in sorted(names):
            for container in CONTAINERS:
                self._keep_log(name, container)
            self._server.delete(name)
        self._submitted.pop(queue_item_id, None)
        self._unseen.discard(queue_item_id)
        self._ids.pop(label_of(queue_item_id), None)

    def close(self) -> None:
        """Let go of the connection."""
        self._server.close()

    def __repr__(self) -> str:
        """Without the token."""
        return f"ArgoWorker({self._interface_id!r}, {self._server.shown!r}, {self._namespace!r})"

    def _order(self, id_: str, body: Json) -> Json:
        """The request: a copy of the body's, with our labels."""
        order = body.get("submit_body") if isinstance(body, dict) else None
        if not isinstance(order, dict):
            raise JobRefused(
                "The body has no submit_body.",
                remedy='Such as {"submit_body": {"resourceKind": "WorkflowTemplate", '
                '"resourceName": "…", "submitOptions": {}}}.',
            )
        order = copy.deepcopy(order)
        options = order.get("submitOptions") or {}
        if not isinstance(options, dict):
            raise JobRefused("submitOptions is no dict.", remedy="Leave it out, or give a dict.")
        order["submitOptions"] = options
        ours = {INTERFACE: label_of(self._interface_id), ITEM: label_of(id_)}
        options["labels"] = _added(options.get("labels"), ours, "labels")
        if is_digest(ours[ITEM]):
            annotation = {ITEM: annotation_of(id_)}
            options["annotations"] = _added(options.get("annotations"), annotation, "annotations")
        return order

    def _newest_of(self, workflows: Iterable[Workflow]) -> dict[str, Workflow]:
        newest: dict[str, Workflow] = {}
        for id_, workflow in self._ours(workflows):

            def age(one: Workflow, id_: str = id_) -> tuple[str, bool, str]:
                facts = one["metadata"]  # times are in whole seconds: what we sent last wins
                name = facts["name"]
                return facts.get("creationTimestamp") or "", name == self._submitted.get(id_), name

            if id_ not in newest or age(workflow) > age(newest[id_]):
                newest[id_] = workflow
        return newest

    def _ours(self, workflows: Iterable[Workflow]) -> Iterator[tuple[str, Workflow]]:
        for workflow in workflows:
            labels = _labels(workflow)
            label = labels.get(ITEM)
            if label is None or labels.get(INTERFACE) != label_of(self._interface_id):
                continue
            id_ = id_of(label)
            if id_ is None:
                annotation = (workflow["metadata"].get("annotations") or {}).get(ITEM, "")
                id_ = self._ids.get(label) or id_in(annotation)
            if id_ and label_of(id_) == label:
                yield id_, workflow

    def _keep_log(self, name: str, container: str) -> None:
        lines = self._server.log(name, container)
        if not lines:
            return
        if self._logs is None:
            log.info("Log of %s, %s:\n%s", name, container, "\n".join(lines)[-TAIL_CHARACTERS:])
            return
        folder = self._logs / name
        folder.mkdir(parents=True, exist_ok=True)
        text = "\n".join(lines) + "\n"
        (folder / f"{container}.log").write_text(text, "utf-8", "backslashreplace")


ArgoWorkflowsQueueWorker = ArgoWorker
"""The known name."""


def _labels(workflow: Workflow) -> dict[str, str]:
    labels: dict[str, str] = workflow["metadata"].get("labels") or {}
    return labels


def _stage(workflow: Workflow) -> Stage:
    labels = _labels(workflow)
    if labels.get(COMPLETED) != "true":
        return Stage.PROCESSING
    return Stage.SUCCESS if labels.get(PHASE) == "Succeeded" else Stage.FAIL


def _added(given: object, ours: dict[str, str], what: str) -> str:
    """Labels as Argo wants them, `a=b,c=d`, with ours, and nobody else's in their place."""
    if not isinstance(given, str | None):
        raise JobRefused(f"The {what} are no text.", remedy="Such as a=b,c=d.")
    theirs = [pair for pair in (given or "").split(",") if pair]
    theirs = [pair for pair in theirs if pair.partition("=")[0].strip() not in ours]
    return ",".join([*theirs, *(f"{name}={value}" for name, value in ours.items())])
