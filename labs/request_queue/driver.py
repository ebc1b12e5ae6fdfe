"""A resource driver: its `execute_lifecycle` is called, or the request is queued in its stead.

With `resource_driver.lifecycle_request_queue.enabled: true` the call is intercepted: the
request is put on the queue, and a replica's handler does it later; the driver's own
implementation is not called. Off, which is the default, it is called directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from labs.errors import BadInput
from labs.request_queue.configuration import DriverSettings
from labs.request_queue.lifecycle import LifecycleExecuteResponse
from labs.request_queue.requests import lifecycle_request
from labs.request_queue.service import LifecycleRequestQueueService


class ResourceDriver(Protocol):
    """What a driver implements."""

    def execute_lifecycle(
        self,
        lifecycle_name: str,
        driver_files: str,
        system_properties: Mapping[str, Any],
        resource_properties: Mapping[str, Any],
        request_properties: Mapping[str, Any],
        associated_topology: Mapping[str, Any],
        deployment_location: Mapping[str, Any],
    ) -> LifecycleExecuteResponse:
        """Begin the transition or operation, and say at once by which `request_id` it goes."""


class ResourceDriverService:
    """A `ResourceDriver` that stands before another: it queues, or calls it."""

    def __init__(
        self,
        settings: DriverSettings,
        *,
        driver: ResourceDriver | None = None,
        requests: LifecycleRequestQueueService | None = None,
    ) -> None:
        """`driver` is needed where the queue is off, `requests` where it is on.

        Raises:
            BadInput: the one that is needed is missing.
        """
        self._queued = settings.queue.enabled
        self._driver = driver
        self._requests = requests
        if self._queued and requests is None:
            raise BadInput(
                "The request queue is enabled, and there is none.",
                remedy="Pass a LifecycleRequestQueueService as requests=.",
            )
        if not self._queued and driver is None:
            raise BadInput(
                "The request queue is off, and there is no driver to call.",
                remedy="Pass a driver=, or set resource_driver.lifecycle_request_queue.enabled.",
            )

    def execute_lifecycle(
        self,
        lifecycle_name: str,
        driver_files: str,
        system_properties: Mapping[str, Any],
        resource_properties: Mapping[str, Any],
        request_properties: Mapping[str, Any],
        associated_topology: Mapping[str, Any],
        deployment_location: Mapping[str, Any],
    ) -> LifecycleExecuteResponse:
        """Queue the request and return when it is safe; or call the driver.

        Raises:
            RequestTooLarge: the log would not take it.
            LogUnreachable, NotAppended: the log did not take it.
        """
        if not self._queued:
            assert self._driver is not None, "looked at in the constructor"
            return self._driver.execute_lifecycle(
                lifecycle_name,
                driver_files,
                system_properties,
                resource_properties,
                request_properties,
                associated_topology,
                deployment_location,
            )
        assert self._requests is not None, "looked at in the constructor"
        request = lifecycle_request(
            lifecycle_name,
            driver_files=driver_files,
            system_properties=system_properties,
            resource_properties=resource_properties,
            request_properties=request_properties,
            associated_topology=associated_topology,
            deployment_location=deployment_location,
        )
        self._requests.queue_lifecycle_request(request)
        return LifecycleExecuteResponse(request["request_id"])
