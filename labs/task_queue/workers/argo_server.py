"""Argo's server as the worker asks it: five calls of its REST API, over HTTP.

What comes back are the answers as JSON, or one of two errors: `WorkerUnreachable` for what may
pass (no answer, 5xx, too many requests, a token that is not let in), `JobRefused` for what is
wrong with the request itself. The token goes into one header, and is never said.
"""

from __future__ import annotations

import json
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx

from labs.errors import BadInput
from labs.task_queue.client_link import sendable
from labs.task_queue.workers.base import JobRefused, WorkerUnreachable

PAGE = 500
FIELDS = ",".join(
    [
        "metadata",  # it says whether there is another page
        *(
            f"items.metadata.{name}"
            for name in ("name", "uid", "labels", "annotations", "creationTimestamp")
        ),
        "items.status.message",
    ]
)
"""What is asked for of each workflow: with all its nodes it may have megabytes."""
NOT_LET_IN = {401, 403}
MAY_PASS = NOT_LET_IN | {408, 425, 429}
GONE, NOT_FOUND = 410, 404
LOG_BYTES = 1_000_000


class ArgoServer:
    """One namespace of a server.

    Raises:
        BadInput: the endpoint is no URL, the certificate's file can't be read, or the token not
            be sent.
    """

    def __init__(
        self,
        endpoint: str,
        namespace: str,
        *,
        token: str | None,
        verify: bool | str,
        timeout_s: float,
    ) -> None:
        try:
            url = httpx.URL(endpoint)
            legal = url.scheme in ("http", "https") and bool(url.host)
        except httpx.InvalidURL:
            legal = False
        if not legal:
            raise BadInput(
                "The endpoint of Argo is no URL.",
                remedy="Write it as https://argo.example.org:2746.",
            )
        self.shown = str(url.copy_with(username=None, password=None, query=None))
        """The endpoint as a person may see it."""
        headers = {}
        if token:
            headers["Authorization"] = sendable(f"Bearer {token.removeprefix('Bearer ').strip()}")
        try:
            trusted = (
                ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
            )
            self._http = httpx.Client(
                base_url=url, headers=headers, verify=trusted, timeout=timeout_s
            )
        except OSError as error:
            raise BadInput(
                f"The certificate's file {verify} can't be read: {error.strerror}.",
                remedy="Give the path of a PEM file.",
            ) from error
        self._path = f"/api/v1/workflows/{quote(namespace, safe='')}"

    def submit(self, order: dict[str, Any]) -> dict[str, Any]:
        """Submit a workflow; return it."""
        answer = self._json("POST", f"{self._path}/submit", json=order)
        if not isinstance(answer.get("metadata"), dict):
            raise self._unreachable("what it answers is no workflow")
        return answer

    def workflows(self, selector: str) -> list[dict[str, Any]]:
        """All workflows with these labels."""
        found: list[dict[str, Any]] = []
        asked: dict[str, str] = {
            "listOptions.labelSelector": selector,
            "listOptions.limit": str(PAGE),
            "fields": FIELDS,
        }
        while True:
            response = self._ask("GET", self._path, params=asked)
            if response.status_code == GONE and asked.pop("listOptions.continue", ""):
                found = []  # the rest of the list is not kept any more: begin anew
                continue
            page = self._checked(response)
            found += page.get("items") or []
            onward = (page.get("metadata") or {}).get("continue")
            if not onward:
                return found
            asked["listOptions.continue"] = onward

    def get(self, name: str) -> dict[str, Any] | None:
        """One workflow; None: there is none of this name."""
        fields = FIELDS.replace("items.", "")
        response = self._ask("GET", self._of(name), params={"fields": fields})
        return None if response.status_code == NOT_FOUND else self._checked(response)

    def delete(self, name: str) -> None:
        """Delete a workflow; one that is not there is no error."""
        response = self._ask("DELETE", self._of(name))
        if response.status_code != NOT_FOUND:
            self._checked(response)

    def log(self, name: str, container: str) -> list[str]:
        """The lines of a container's log, as far as there are any; not more than a megabyte."""
        lines: list[str] = []
        size = 0
        params = {"logOptions.container": container}
        try:
            with self._http.stream("GET", f"{self._of(name)}/log", params=params) as response:
                if not response.is_success:
                    return []  # its pods are gone, or there is no such container
                for line in response.iter_lines():
                    size += len(line)
                    if size > LOG_BYTES:
                        break
                    with suppress(ValueError, KeyError, TypeError, AttributeError):
                        lines.append(str(json.loads(line)["result"].get("content", "")))
        except httpx.HTTPError as error:
            raise self._unreachable(type(error).__name__) from error
        return lines

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _of(self, name: str) -> str:
        return f"{self._path}/{quote(name, safe='')}"

    def _json(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        return self._checked(self._ask(method, path, **asked))

    def _ask(self, method: str, path: str, **asked: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **asked)
        except httpx.HTTPError as error:
            raise self._unreachable(f"{type(error).__name__} {error}".strip()) from error

    def _checked(self, response: httpx.Response) -> dict[str, Any]:
        """The answer, if it is a good one."""
        status = response.status_code
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.is_success and isinstance(answer, dict):
            return answer
        said = str(answer.get("message", "")) if isinstance(answer, dict) else ""
        what = f"{status} {response.reason_phrase}. {said[:500]}".strip()
        if response.is_client_error and status not in MAY_PASS:
            raise JobRefused(
                f"Argo refuses it: {what}",
                remedy="Look at the body: Argo's words say what is wrong.",
            )
        if response.is_success:
            what = "what it answers is no JSON"
        raise self._unreachable(what, is_let_in=status not in NOT_LET_IN)

    def _unreachable(self, what: str, *, is_let_in: bool = True) -> WorkerUnreachable:
        return WorkerUnreachable(
            f"Argo at {self.shown} can't be asked at present: {what}",
            remedy="Is the server up, and the endpoint right?"
            if is_let_in
            else "Is the token right, not too old, and allowed to submit in this namespace?",
        )
