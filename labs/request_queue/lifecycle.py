"""What a driver says of a lifecycle request: accepted, and later how it ended.

The names and the JSON are those that Stratoss Lifecycle Manager and its drivers speak
(the public project IBM/ignition). Values go in, JSON bytes come out; nothing is sent here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATUS_IN_PROGRESS = "IN_PROGRESS"
STATUS_COMPLETE = "COMPLETE"
STATUS_FAILED = "FAILED"
STATUS_UNKNOWN = "UNKNOWN"

FAILURE_CODE_RESOURCE_ALREADY_EXISTS = "RESOURCE_ALREADY_EXISTS"
FAILURE_CODE_RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
FAILURE_CODE_INFRASTRUCTURE_ERROR = "INFRASTRUCTURE_ERROR"
FAILURE_CODE_INSUFFICIENT_CAPACITY = "INSUFFICIENT_CAPACITY"
FAILURE_CODE_INTERNAL_ERROR = "INTERNAL_ERROR"
FAILURE_CODE_UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """Why a request failed: one of the `FAILURE_CODE_*`, and a sentence."""

    failure_code: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class LifecycleExecuteResponse:
    """A driver's answer at once: it has taken the request, and will say later how it ended."""

    request_id: str
    associated_topology: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LifecycleExecution:
    """How a request stands, as sent to the topic of responses."""

    request_id: str
    status: str
    """One of the `STATUS_*`."""
    failure_details: FailureDetails | None = None
    outputs: Mapping[str, Any] | None = None
    associated_topology: Mapping[str, Any] | None = None

    def to_bytes(self) -> bytes:
        """The response as JSON.

        Raises:
            TypeError, ValueError: the outputs or the topology are not JSON.
        """
        said: dict[str, Any] = {"requestId": self.request_id, "status": self.status}
        if self.failure_details is not None:
            said["failureDetails"] = {
                "failureCode": self.failure_details.failure_code,
                "description": self.failure_details.description,
            }
        said["outputs"] = dict(self.outputs or {})
        said["associatedTopology"] = dict(self.associated_topology or {})
        return json.dumps(said).encode()


def failed(request_id: str, why: str) -> LifecycleExecution:
    """The response for a request that our side could not do."""
    return LifecycleExecution(
        request_id, STATUS_FAILED, FailureDetails(FAILURE_CODE_INTERNAL_ERROR, why), {}
    )
