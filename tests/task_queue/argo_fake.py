"""A small Argo server: real HTTP on loopback, with state, whose workflows end as the test says.

It speaks the calls that the worker makes, and keeps what they promise each other: labels are
read as Argo reads them and must be Kubernetes', lists are in pages and by label, only the fields
that were asked for come back. Each request and each answer is held against hera's models, and
against Argo's own OpenAPI document where that is at hand (`LABS_ARGO_OPENAPI`, or
`shared/argo-openapi.json` beside the checkout).
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema
from hera.workflows import models

Json = Any

ROOT = Path(__file__).parent.parent.parent
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
WORKFLOW = "io.argoproj.workflow.v1alpha1."


@cache
def openapi() -> dict[str, Json] | None:
    """Argo's own document; None where it is not at hand."""
    beside = [ROOT.parent / "shared" / "argo-openapi.json"]
    given = os.environ.get("LABS_ARGO_OPENAPI")
    for path in [Path(given)] if given else beside:
        if path.is_file():
            found: dict[str, Json] = json.loads(path.read_text())
            return found
    return None


class Wrong(Exception):
    """Raised for what Argo would refuse: a status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ArgoFake:
    """The server's state. `trouble`, when set, is the status of every answer."""

    def __init__(self, *, token: str = "", page: int = 500) -> None:
        self.workflows: dict[str, dict[str, Json]] = {}
        self.logs: dict[tuple[str, str], list[str]] = {}
        self.trouble: int | None = None
        self.trouble_at: tuple[str, int] | None = None
        """A method, and the status of its answers; what it asks for is done all the same."""
        self.forgets_pages = 0
        """So many times it has forgotten how a list goes on."""
        self.hidden: set[str] = set()
        """Names of workflows that no list shows yet."""
        self.requests: list[tuple[str, str]] = []
        self.orders: list[Json] = []
        self.problems: list[str] = []
        """What was not as the documents say."""
        self.url = ""
        self._token, self._page = token, page
        self._document = openapi()
        self._number = 0

    # --- What the test does -------------------------------------------------------------------

    def end(self, name: str, phase: str = "Succeeded", message: str = "") -> None:
        """Let a workflow end."""
        workflow = self.workflows[name]
        workflow["metadata"]["labels"] |= {
            "workflows.argoproj.io/completed": "true",
            "workflows.argoproj.io/phase": phase,
        }
        workflow["status"] = {"phase": phase, "message": message, "finishedAt": self._now()}

    def add(self, labels: dict[str, str], *, created: str | None = None) -> str:
        """A workflow from elsewhere."""
        name: str = self._make(labels, {}, created=created)["metadata"]["name"]
        return name

    def named(self, id_label: str) -> list[str]:
        """The workflows of a task, by its label."""
        return [
            name
            for name, workflow in self.workflows.items()
            if workflow["metadata"]["labels"].get("work-queue.queue-item-id") == id_label
        ]

    # --- What the server does -----------------------------------------------------------------

    def answer(self, method: str, target: str, body: bytes, token: str) -> tuple[int, bytes]:
        """One request."""
        url = urlsplit(target)
        self.requests.append((method, target))
        if self.trouble:
            return self.trouble, b"<html>in trouble</html>"
        if self._token and token != f"Bearer {self._token}":
            return 401, b'{"code":16,"message":"token not valid"}'
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = [unquote(part) for part in url.path.split("/")[4:]]
        try:
            status, answer = 200, self._do(method, parts, asked, body)
        except Wrong as wrong:
            status, answer = wrong.status, {"code": 3, "message": str(wrong)}
            self._check("grpc.gateway.runtime.Error", answer)
        if self.trouble_at and self.trouble_at[0] == method:
            return self.trouble_at[1], b'{"message":"it is all too much"}'
        if isinstance(answer, str):
            return status, answer.encode()
        return status, json.dumps(answer).encode()

    def _do(self, method: str, parts: list[str], asked: dict[str, str], body: bytes) -> Json:
        match method, *parts:
            case "POST", "argo", "submit":
                return self._submit(json.loads(body))
            case "GET", "argo":
                return self._list(asked)
            case "GET", "argo", name:
                return _trimmed(self._found(name), asked.get("fields"))
            case "GET", "argo", name, "log":
                self._found(name)
                lines = self.logs.get((name, asked["logOptions.container"]))
                if lines is None:
                    raise Wrong(404, "no such container")
                entries = [{"result": {"content": line, "podName": name}} for line in lines]
                return "".join(json.dumps(entry) + "\n" for entry in entries)
            case "DELETE", "argo", name:
                self._found(name)
                del self.workflows[name]
                self._check(f"{WORKFLOW}WorkflowDeleteResponse", {})
                return {}
        raise Wrong(404, "Not Found")

    def _found(self, name: str) -> dict[str, Json]:
        if name not in self.workflows:
            raise Wrong(404, f'workflows.argoproj.io "{name}" not found')
        return self.workflows[name]

    def _submit(self, order: Json) -> Json:
        self.orders.append(order)
        self._check(f"{WORKFLOW}WorkflowSubmitRequest", order)
        if not order.get("resourceName"):
            raise Wrong(400, "resource name is required")
        options = order.get("submitOptions") or {}
        labels, annotations = _pairs(options.get("labels")), _pairs(options.get("annotations"))
        for value in labels.values():
            if len(value) > 63 or not LABEL_VALUE.fullmatch(value):
                raise Wrong(400, f'metadata.labels: Invalid value: "{value}"')
        return self._make(labels, annotations)

    def _make(
        self, labels: dict[str, str], annotations: dict[str, str], created: str | None = None
    ) -> dict[str, Json]:
        self._number += 1
        name = f"workflow-{self._number:04}"
        metadata = {
            "name": name,
            "namespace": "argo",
            "uid": f"uid-{self._number}",
            "creationTimestamp": created or self._now(),
            "labels": labels | {"workflows.argoproj.io/phase": "Running"},
            "annotations": annotations,
        }
        self.workflows[name] = {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}}
        self._check(f"{WORKFLOW}Workflow", self.workflows[name])
        return self.workflows[name]

    def _list(self, asked: dict[str, str]) -> Json:
        wanted = _pairs(asked.get("listOptions.labelSelector"))
        found = [
            workflow
            for name, workflow in self.workflows.items()
            if name not in self.hidden and wanted.items() <= workflow["metadata"]["labels"].items()
        ]
        begin = int(asked.get("listOptions.continue", "0"))
        if begin and self.forgets_pages:
            self.forgets_pages -= 1
            raise Wrong(410, "The provided continue parameter is too old")
        end = begin + min(self._page, int(asked.get("listOptions.limit", self._page)))
        metadata = {"continue": str(end)} if end < len(found) else {}
        answer = {"metadata": metadata, "items": found[begin:end]}
        self._check(f"{WORKFLOW}WorkflowList", answer)
        answer["items"] = [_trimmed(one, asked.get("fields"), "items.") for one in found[begin:end]]
        return answer | {"items": answer["items"] or None}

    def _now(self) -> str:
        return f"2030-01-01T00:{self._number // 60:02}:{self._number % 60:02}Z"

    def _check(self, definition: str, value: Json) -> None:
        """Hold it against hera's model, and against Argo's document."""
        try:
            model = getattr(models, definition.rpartition(".")[2], None)
            if model is not None:
                unknown = model.model_validate(value).model_extra
                assert not unknown, unknown
            if self._document:
                schema = {
                    "$ref": f"#/definitions/{definition}",
                    "definitions": self._document["definitions"],
                }
                jsonschema.Draft4Validator(schema).validate(value)
        except (ValueError, AssertionError, jsonschema.ValidationError) as error:
            self.problems.append(f"{definition}: {error}")


def _pairs(text: str | None) -> dict[str, str]:
    """Labels as Argo reads them."""
    if not text:
        return {}
    pairs = [pair.split("=") for pair in text.split(",")]
    if any(len(pair) != 2 or not pair[0] for pair in pairs):
        raise Wrong(400, f"unexpected label spec: {text}")
    return {pair[0]: pair[1] for pair in pairs}


def _trimmed(workflow: Json, fields: str | None, prefix: str = "") -> Json:
    """Only the fields that were asked for."""
    if fields is None:
        return workflow
    trimmed: Json = {}
    for field in fields.split(","):
        found, made = workflow, trimmed
        *above, last = field.removeprefix(prefix).split(".")
        if not field.startswith(prefix) or not above:
            continue
        for name in above:
            found, made = found.get(name, {}), made.setdefault(name, {})
        if last in found:
            made[last] = found[last]
    return trimmed


@contextmanager
def served(fake: ArgoFake) -> Iterator[ArgoFake]:
    """Serve it on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "")
            with lock:
                status, answer = fake.answer(self.command, self.path, body, token)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - as http.server calls them

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    lock = threading.Lock()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
        thread.start()
        yield fake
        server.shutdown()
        thread.join()
