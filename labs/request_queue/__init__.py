"""A request queue on a partitioned log: an API answers at once while its work takes minutes.

**When to use it.** Requests come in faster than they can be done, each takes long, several
replicas share them, and requests about the same thing must be done in order. (When order
does not matter and each message should be settled by itself, use `labs.job_queue`.)

    from labs.request_queue import (
        STATUS_COMPLETE, DriverSettings, LifecycleExecution, LifecycleRequestQueueService,
        MemoryLog, lifecycle_request,
    )

    log = MemoryLog()  # or open_log(settings): Kafka at messaging.connection_address
    service = LifecycleRequestQueueService(log, DriverSettings())

    service.queue_lifecycle_request(lifecycle_request("Start", request_id="server-7"))

    def handle(request):  # a dict of its own: request_id, lifecycle_name, ...
        outputs = {"address": "10.0.0.7"}
        service.messaging.send_lifecycle_execution(
            LifecycleExecution(request["request_id"], STATUS_COMPLETE, None, outputs)
        )
        return True  # done; False: not yet, put it back behind what waits

    events = []
    queue = service.get_lifecycle_request_queue("replica-1", handle, observer=events.append)
    queue.process_request(timeout_s=10)  # one; or queue.run(), until stop() or SIGTERM
    queue.close()

**What it promises.**

- What `queue_lifecycle_request` returned from is safe: all in-sync replicas of the log have it.
- Each request is done at least once. A replica that dies in the middle, or whose partition
  goes to another before it has committed, may have done it already: make handlers idempotent.
- Requests with the same `request_id` (the partition key) are done one at a time and in the
  order in which they were queued; those that were put back follow after what waited.
- An offset is committed when the outcome is safe, and only that record's: the handler returned
  True; or it failed (raised, or returned anything but True or False) and a FAILED response was
  sent; or the record is on the failed topic, whole, with the reason in its headers (what can't
  be parsed goes there); or it was put back. If none of these can be reached, it comes again.
- False means not yet: the request is put back behind what waits in its partition, with a pause
  that grows from 1 s to 60 s. There is no hot loop, and no limit: it is tried for ever.
- Long work keeps its partition: the replica goes on polling while the handler works in a thread.
  When a partition is handed over, or the replica is stopped, work in hand has `grace_s` to end.
- Requests wait as long as they must: the topic keeps them for ever (`retention.ms: -1`), and
  replicas delete what was processed an hour ago, where the log lets them.

**Configuration** (YAML, `LABS_…` variables or arguments; `labs.settings.load`):
`labs driver settings` prints the table of keys. `lifecycle_request_queue.enabled: true` is all
that switches the queue on. For TLS and SASL, `messaging.config` takes the Kafka client's own
settings: `security.protocol: sasl_ssl`, `ssl.ca.location`, `sasl.mechanism`, `sasl.username`,
`sasl.password` (never shown). Partitions bound how many requests are in work at a time.

**The driver** (`labs driver serve`, or `driver_api.create_app`): `POST
/api/driver/lifecycle/execute` answers 202 with the `request_id` once the request is safe;
`GET /management/health` asks the broker, `GET /management/metrics` counts what waits. Responses
go to the topic `lm_vnfc_lifecycle_execution_events`.
"""

from labs.request_queue.configuration import DriverSettings
from labs.request_queue.events import RequestEvent, What
from labs.request_queue.lifecycle import (
    FAILURE_CODE_INFRASTRUCTURE_ERROR,
    FAILURE_CODE_INSUFFICIENT_CAPACITY,
    FAILURE_CODE_INTERNAL_ERROR,
    FAILURE_CODE_RESOURCE_ALREADY_EXISTS,
    FAILURE_CODE_RESOURCE_NOT_FOUND,
    FAILURE_CODE_UNKNOWN,
    STATUS_COMPLETE,
    STATUS_FAILED,
    STATUS_IN_PROGRESS,
    STATUS_UNKNOWN,
    FailureDetails,
    LifecycleExecuteResponse,
    LifecycleExecution,
)
from labs.request_queue.memory import MemoryLog
from labs.request_queue.requests import RequestRefused, lifecycle_request
from labs.request_queue.service import LifecycleRequestQueueService, open_log
from labs.request_queue.work import RequestHandler
from labs.request_queue.worker import RequestQueue

__all__ = [
    "FAILURE_CODE_INFRASTRUCTURE_ERROR",
    "FAILURE_CODE_INSUFFICIENT_CAPACITY",
    "FAILURE_CODE_INTERNAL_ERROR",
    "FAILURE_CODE_RESOURCE_ALREADY_EXISTS",
    "FAILURE_CODE_RESOURCE_NOT_FOUND",
    "FAILURE_CODE_UNKNOWN",
    "STATUS_COMPLETE",
    "STATUS_FAILED",
    "STATUS_IN_PROGRESS",
    "STATUS_UNKNOWN",
    "DriverSettings",
    "FailureDetails",
    "LifecycleExecuteResponse",
    "LifecycleExecution",
    "LifecycleRequestQueueService",
    "MemoryLog",
    "RequestEvent",
    "RequestHandler",
    "RequestQueue",
    "RequestRefused",
    "What",
    "lifecycle_request",
    "open_log",
]
