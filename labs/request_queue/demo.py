"""A driver to play with: each request takes some seconds, and answers COMPLETE.

`seconds` in the request's properties says how long (3 by default); the lifecycle name `Break`
raises, as a handler with a mistake does. Called directly, the same work is done while the
caller waits: that is the difference which the queue makes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from labs.request_queue.lifecycle import (
    STATUS_COMPLETE,
    LifecycleExecuteResponse,
    LifecycleExecution,
)
from labs.request_queue.work import RequestHandler

USUAL_S = 3.0


class DemoDriver(RequestHandler):
    """Handles requests from the queue, or is called directly."""

    def __init__(self, send: Callable[[LifecycleExecution], None] = lambda _: None) -> None:
        """`send`: how a response is sent; called directly, none is."""
        self._send = send

    def handle_request(self, request: dict[str, Any]) -> bool:
        """Work, then answer."""
        _work(request["lifecycle_name"], request["request_properties"])
        outputs = {"done_by": "the demo driver"}
        self._send(LifecycleExecution(request["request_id"], STATUS_COMPLETE, None, outputs))
        return True

    def execute_lifecycle(
        self,
        lifecycle_name: str,
        driver_files: str,  # noqa: ARG002 - the driver's interface
        system_properties: Mapping[str, Any],  # noqa: ARG002
        resource_properties: Mapping[str, Any],  # noqa: ARG002
        request_properties: Mapping[str, Any],
        associated_topology: Mapping[str, Any],  # noqa: ARG002
        deployment_location: Mapping[str, Any],  # noqa: ARG002
    ) -> LifecycleExecuteResponse:
        """Work while the caller waits."""
        _work(lifecycle_name, request_properties)
        return LifecycleExecuteResponse(str(uuid.uuid4()))


def _work(lifecycle_name: str, properties: Mapping[str, Any]) -> None:
    if lifecycle_name == "Break":
        raise RuntimeError("The demo driver breaks when it is asked to Break.")
    time.sleep(float(properties.get("seconds", USUAL_S)))
