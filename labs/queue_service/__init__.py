"""A queue service: builds and jobs behind REST, on schedule, never twice.

**When to use it.** Many clients, in any language, want builds of jobs run: each once however often
it is asked for, no two at a time that are in each other's way, some by the clock, none while a
freeze window is open. (When it is one program's work, `labs.task_queue`, on which this stands, is
enough.)

    from labs.queue_service import QueueService, VerbsOf

    with QueueService.at("sqlite:///builds.db") as service:
        queue = VerbsOf(service.call)
        queue.start(build_id=1, job_id=777, body={"branch": "main"})
        again = queue.start(build_id=1, job_id=777)    # again.created is False: one message
        queue.start(build_id=2, job_id=777)            # blocked: a job does one build at a time

        for claimed in queue.claim("worker-1"):        # build 1
            queue.ack(claimed, result={"passed": 31})  # which wakes build 2

        queue.stats().counts

`labs queue-service serve` puts it behind REST, `QueueServiceClient` has the same verbs over it:
`client.start(…)`, and for a worker

    for work in client.claims("worker-1"):
        with work:                      # its lease is extended; what is raised is a failed attempt
            work.result = build(work.body)

**What it promises.**

- What was answered with success is on disk. The same `build_id` is one message, and the same
  `Idempotency-Key` of one sender one request for a day, whatever was sent twice, and whoever died
  meanwhile.
- No message is in two hands, and no two builds run whose jobs block each other; a lease that
  runs out brings a message back, and voids its claim. So each is handed out at least once.
- Who waits for a job is woken when it ends, in the same transaction. A newer build takes the place
  of older ones of its job that are blocked (`collapse`), unless told not to.
- A schedule's run is one message, however many instances look at the clock; a run that was missed
  is made up for once.
- Any number of instances on one PostgreSQL; each does all, and none is missed.

**How.** One writer in each instance carries out all operations that wait in one transaction
(`committer`), and the transactions of all instances come one after the other; so the rules
(`rules`) are plain code without races, and one commit serves all who waited for it. It costs the
same with a million messages waiting: counters are kept, nothing is counted anew.

**What is different from the known service.** Ids are whole numbers, and refused by name if not;
unknown types too. A schedule's run and the end of a freeze window put the message itself into
the queue, where the known one asks another service for a build. That service is not told of
states: whoever wants to know asks, by `find`, `messages` or the page. A token in the query is not
accepted: it would stand in logs.
"""

from __future__ import annotations

from typing import Any

from labs.exports import exported

_EXPORTS = {
    "BadMessage": "errors:BadMessage",
    "Claimed": "messages:Claimed",
    "Enqueued": "messages:Enqueued",
    "Forbidden": "errors:Forbidden",
    "KeyReused": "errors:KeyReused",
    "Message": "messages:Message",
    "Overloaded": "errors:Overloaded",
    "QueueService": "service:QueueService",
    "QueueServiceClient": "client:QueueServiceClient",
    "Schedule": "messages:Schedule",
    "Standing": "messages:Standing",
    "State": "messages:State",
    "Stats": "messages:Stats",
    "UnknownMessage": "errors:UnknownMessage",
    "VerbsOf": "client_verbs:VerbsOf",
    "create_app": "api:create_app",
    "serving": "server:serving",
}
"""Name -> room:name there."""

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    return exported(__name__, _EXPORTS, name, extra="queue-service")


def __dir__() -> list[str]:
    """All names, also those that nobody has asked for yet."""
    return sorted({*globals(), *_EXPORTS})
