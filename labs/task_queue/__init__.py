"""A task queue whose tasks move through stages that survive anything, and a work queue to run them.

**When to use it.** Each piece of work has a name and a state that people ask for: is `scan-17`
waiting, processing, done, failed, and why? It takes seconds or days, is run once, and its outcome
is kept. (When nobody asks for a single job, `labs.job_queue` is lighter; when the order for each
customer matters, `labs.request_queue`.)

    from labs.task_queue import Stage, memory_queue

    queue = memory_queue()
    queue.put({"scan-17": {"file": "17.tif"}, "scan-18": {"file": "18.tif"}})

    for claim in queue.get(1, lease_s=60):       # pairs of (id, body)
        queue.extend(claim, 60)                  # while it takes longer
        queue.success(claim, result={"spots": 4})  # or fail(claim, reason="no such file")

    queue.sizes()                # {'WAITING': 1, 'PROCESSING': 0, 'SUCCESS': 1, 'FAIL': 0}
    queue.lookup_task("scan-17").result

The table of moves between the four stages is `stages.MOVES`; every store obeys it.

**Which store.** They keep the same promises, by one suite of tests:

| store | for |
| --- | --- |
| `memory_queue()` | tests, lessons, threads of one program; gone with the process |
| `SqlQueue.connect("sqlite:///tasks.db", "scans")` | one machine, any number of processes |
| `SqlQueue.connect("postgresql://…", "scans")` | many machines; the quickest for batches |
| `json_s3_queue("s3://bucket/prefix")` | where there is a bucket and no database |
| `ApiClient("localhost:8080")` | whoever should see a service and no store |
| `with_events(queue, event_store, "scans")` | any of them, with every move an event |

**What it promises.**

- What `put` has returned from is stored, as are moves; a process killed at any point of any verb
  loses no task and leaves none half-way.
- A claim is one owner's. With a lease, a task whose owner has died waits again when the lease is
  over; what the late owner then says of it is refused (`ClaimLost`). Without one it is held until
  it is settled: that is what the known interface does, and a worker that dies then holds its
  task for ever. So ask for a lease.
- Higher priority first, then the order of the puts; a task keeps its place whatever brings it back.
- Ids are any text of 1 to 512 characters, bodies are JSON; all else is refused by name
  before anything is stored. One fault is one error, on every store (`errors`).
- put, get and success cost the same however much is stored.
- With events each move is told once, and `replay` makes the state out of them, for any time.

**What it does not promise.** That a task is worked on only once: who is killed between working
and saying so has worked, and another does it again. Make the work idempotent; `claim.attempt`
says which attempt it is. Nor that clocks agree: leases go by PostgreSQL's own clock, and by the
host's for the others, so keep several hosts' clocks together to well within a lease. Nor, on S3,
a strict order between many workers: they take what is near the head.

**Workers.** `WorkQueue(queue, worker)` claims tasks and runs them: as scripts (`ProcessWorker`),
through RabbitMQ (`RabbitWorker`), on Argo Workflows (`ArgoWorker`), as many at a time as
`ProcessingLimit`, `ResourceLimit` or `ReleaseAll` says. `labs task-queue` has it all as commands.

**From the known interface.** Change the import: `in_memory_queue`, `json_sql_queue`,
`json_s3_queue`, `queue_with_events`, `SqlEventStore`, `QueueItemStage`, `WorkQueue`,
`ProcessQueueWorker`, `ArgoWorkflowsQueueWorker` and the methods' names are here, and do what they
did; or change the URL of an `ApiClient`. What is different: `success` and `fail` of a task that is
not PROCESSING are refused, a put with a bad body stores nothing, `requeue` returns the ids, and
`put` a number that also says which ids were `added` and which `present`.
"""

from __future__ import annotations

from typing import Any

from labs.exports import exported

_EXPORTS = {
    "ApiClient": "client:ApiClient",
    "ArgoWorker": "workers.argo:ArgoWorker",
    "ArgoWorkflowsQueueWorker": "workers.argo:ArgoWorker",
    "BadTask": "errors:BadTask",
    "Claim": "tasks:Claim",
    "ClaimLost": "errors:ClaimLost",
    "DummyWorker": "workers.dummy:DummyWorker",
    "Event": "events:Event",
    "EventQueue": "events_queue:EventQueue",
    "EventStore": "events:EventStore",
    "Fail": "tasks:Fail",
    "InMemoryEventStore": "events:MemoryEventStore",
    "InMemoryQueue": "memory:MemoryQueue",
    "JobRefused": "workers.base:JobRefused",
    "MemoryEventStore": "events:MemoryEventStore",
    "MemoryQueue": "memory:MemoryQueue",
    "ProcessQueueWorker": "workers.process:ProcessWorker",
    "ProcessWorker": "workers.process:ProcessWorker",
    "ProcessingLimit": "release:ProcessingLimit",
    "QueueItemStage": "stages:Stage",
    "RabbitWorker": "workers.rabbit:RabbitWorker",
    "ReleaseAll": "release:ReleaseAll",
    "ResourceLimit": "release:ResourceLimit",
    "Route": "workers.rabbit_route:Route",
    "S3Queue": "s3:S3Queue",
    "SqlEventStore": "sql_events:SqlEventStore",
    "SqlQueue": "sql:SqlQueue",
    "Stage": "stages:Stage",
    "StoreUnfit": "errors:StoreUnfit",
    "StoreUnreachable": "errors:StoreUnreachable",
    "Success": "tasks:Success",
    "Task": "tasks:Task",
    "TaskError": "errors:TaskError",
    "TaskQueue": "queue:TaskQueue",
    "Unauthorised": "errors:Unauthorised",
    "UnknownTask": "errors:UnknownTask",
    "WorkQueue": "work_queue:WorkQueue",
    "WorkerUnreachable": "workers.base:WorkerUnreachable",
    "WrongStage": "errors:WrongStage",
    "create_app": "api:create_app",
    "event_queue": "events_queue:with_events",
    "in_memory_queue": "memory:memory_queue",
    "json_s3_queue": "s3:json_s3_queue",
    "json_sql_queue": "sql:json_sql_queue",
    "load_settings": "configuration:load_settings",
    "memory_queue": "memory:memory_queue",
    "open_queue": "configuration:open_queue",
    "open_url": "configuration:open_url",
    "queue_with_events": "events_queue:with_events",
    "validate_args": "configuration:validate_args",
    "with_events": "events_queue:with_events",
}
"""Name -> room:name there. Nothing is imported before it is asked for: who wants a queue in
memory needs no database's client."""

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    return exported(__name__, _EXPORTS, name, extra="task-queue")


def __dir__() -> list[str]:
    """All names, also those that nobody has asked for yet."""
    return sorted({*globals(), *_EXPORTS})
