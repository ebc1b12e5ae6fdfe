"""Rows of the queue service's tables as values, and back.

A `Build` is what a transaction holds of a message while it works on it; a `Message` is what is
told of it, put together of its row and its task's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from labs.queue_service.messages import LIVE, Enqueued, Message, Schedule, State
from labs.queue_service.operations import SAME_JOB_WAIT_S, Start
from labs.task_queue.sql_values import escaped, maybe, plain, time_of
from labs.task_queue.tasks import Json

BUILD_COLUMNS = {
    "seq": "bigint",
    "id": "text",
    "build_id": "bigint",
    "job_id": "bigint",
    "job_name": "text",
    "number": "bigint",
    "state": "text",
    "cluster": "text",
    "line": "text",
    "blocked_by": "text",
    "collapse": "smallint",
    "blocks_self": "smallint",
    "same_job_wait_s": "double precision",
    "virtual": "smallint",
    "waits_for": "bigint",
    "replaced_by": "text",
    "owner": "text",
    "look_at": "double precision",
    "enqueued_at": "double precision",
    "due": "double precision",
    "started_at": "double precision",
    "ended_at": "double precision",
}
CHANGING = (
    *("state", "waits_for", "replaced_by", "owner"),
    *("look_at", "due", "started_at", "ended_at"),
)
TASK_COLUMNS = (
    *("priority", "attempts", "max_attempts", "moves"),
    *("stage", "wake", "due", "result", "reason"),
)
PROCESSING = 1


@dataclass(slots=True, kw_only=True)
class Build:
    """A row of `lab_builds`; times are seconds since 1970."""

    seq: int
    id: str
    build_id: int | None
    job_id: int
    job_name: str
    number: int
    state: State
    cluster: str
    line: str
    """The name of the task queue in which its task is."""
    blocked_by: tuple[int, ...]
    collapse: bool
    blocks_self: bool
    same_job_wait_s: float | None
    virtual: bool
    waits_for: int | None = None
    replaced_by: str | None = None
    owner: str | None = None
    look_at: float | None = None
    enqueued_at: float
    due: float
    started_at: float | None = None
    ended_at: float | None = None

    # Not kept: of the transaction that holds it.
    is_placed: bool = False
    """Whether it is counted in its state."""
    reason: str = ""
    """With which its task is to be refused."""
    parked: bool = False
    """Whether its task can't be claimed, as it was stored last."""
    settled: bool = False
    """Likewise, whether its task is."""

    @property
    def is_to_be_parked(self) -> bool:
        """No worker may have it, however long it waits in the line of its task queue."""
        return self.state in (State.BLOCKED, State.FROZEN) or (
            self.state is State.QUEUED and self.virtual
        )

    @property
    def is_to_be_settled(self) -> bool:
        """It is over with it."""
        return self.state not in LIVE

    def stored(self) -> None:
        """It is now in the store as it is here."""
        self.parked, self.settled = self.is_to_be_parked, self.is_to_be_settled


def build_of(row: Sequence[Any]) -> Build:
    """From the columns of `BUILD_COLUMNS`."""
    build = Build(**dict(zip(BUILD_COLUMNS, row, strict=True)))
    build.state = State(build.state)
    build.blocked_by = tuple(json.loads(row[9]))
    build.collapse, build.blocks_self = bool(build.collapse), bool(build.blocks_self)
    build.virtual = bool(build.virtual)
    build.job_name, build.owner = plain(build.job_name), maybe(plain, build.owner)
    build.is_placed = True
    build.stored()
    return build


def row_of(build: Build) -> dict[str, Json]:
    """All its columns that are not NULL, as one of `items`."""
    row: dict[str, Json] = {
        "seq": build.seq,
        "id": build.id,
        "job_id": build.job_id,
        "job_name": escaped(build.job_name),
        "number": build.number,
        "state": build.state,
        "cluster": build.cluster,
        "line": build.line,
        "blocked_by": f"[{','.join(map(str, build.blocked_by))}]",
        "collapse": int(build.collapse),
        "blocks_self": int(build.blocks_self),
        "virtual": int(build.virtual),
        "enqueued_at": build.enqueued_at,
        "due": build.due,
    }
    for name in ("build_id", "same_job_wait_s", *CHANGING[1:]):
        if (value := getattr(build, name)) is not None:
            row[name] = value
    return row


def change_of(build: Build) -> dict[str, Json]:
    """The columns that change, as one of `items`."""
    row: dict[str, Json] = {name: getattr(build, name) for name in CHANGING}
    row["owner"] = maybe(escaped, build.owner)
    return row | {"key": build.id}


def message_of(row: Sequence[Any]) -> Message:
    """From the columns of `BUILD_COLUMNS`, those of `TASK_COLUMNS`, and the body."""
    build = build_of(row[: len(BUILD_COLUMNS)])
    task = dict(zip(TASK_COLUMNS, row[len(BUILD_COLUMNS) : -1], strict=True))
    can_be_claimed = build.state is State.QUEUED and not build.virtual
    due = build.due
    if build.state is State.FROZEN:  # not before its window ends
        due = max(due, build.look_at or due)
    return Message(
        id=build.id,
        build_id=build.build_id,
        job_id=build.job_id,
        job_name=build.job_name,
        state=build.state,
        priority=task["priority"],
        cluster=build.cluster,
        blocked_by=build.blocked_by,
        waits_for=build.waits_for,
        replaced_by=build.replaced_by,
        attempts=task["attempts"],
        max_attempts=task["max_attempts"],
        owner=build.owner,
        enqueued_at=moment(build.enqueued_at),
        due=time_of(task["due"]) if can_be_claimed else moment(due),
        started_at=maybe(moment, build.started_at),
        lease_ends=maybe(time_of, task["wake"]) if task["stage"] == PROCESSING else None,
        ended_at=maybe(moment, build.ended_at),
        reason=task["reason"],
        result=maybe(json.loads, task["result"]),
        body=json.loads(row[-1]) or {},
        move=task["moves"] if task["stage"] == PROCESSING else 0,
    )


def moment(seconds: float) -> datetime:
    """A time of ours."""
    return datetime.fromtimestamp(seconds, UTC)


def own_job_blocks(start: Start) -> bool:
    """Whether a build of a job is kept from running beside another one of it."""
    return start.blocked_by_self and start.job_id in start.blocked_by


# --- Answers and templates as text -------------------------------------------------------------


def answer_as_text(answer: Enqueued) -> str:
    """What an idempotency key is answered with again."""
    said = asdict(answer)
    said["until"] = maybe(datetime.isoformat, answer.until)
    return json.dumps(said)


def answer_from_text(text: str) -> Enqueued:
    """What `answer_as_text` has written, as a replay."""
    said = json.loads(text)
    said["state"], said["until"] = (
        State(said["state"]),
        maybe(datetime.fromisoformat, said["until"]),
    )
    return Enqueued(**said | {"replayed": True})


LEFT_OUT = ("build_id", "job_id", "job_name", "body", "idempotency_key", "fingerprint")
"""Of a template: each run has its own."""


def template_as_text(template: Start | None, job_id: int) -> str:
    """How the runs of a schedule are enqueued."""
    if template is None:
        return json.dumps({"blocked_by": [job_id], "same_job_wait_s": SAME_JOB_WAIT_S})
    return json.dumps({k: v for k, v in asdict(template).items() if k not in LEFT_OUT})


def start_of(template: str, *, job_id: int, job_name: str, body: Mapping[str, Json]) -> Start:
    """The start of a run."""
    said = json.loads(template)
    said["blocked_by"] = tuple(said["blocked_by"])
    said["freeze_windows"] = tuple(said.get("freeze_windows", ()))
    return Start(build_id=0, job_id=job_id, job_name=job_name, body=body, **said)


SCHEDULE_COLUMNS = (
    *("job_id", "job_name", "cron", "hashed", "time_zone"),
    *("next_run", "last_run", "body", "template"),
)


def schedule_of(row: Sequence[Any]) -> Schedule:
    """From the columns of `SCHEDULE_COLUMNS`."""
    job_id, job_name, cron, hashed, time_zone, next_run, last_run, body, _ = row
    return Schedule(
        job_id=job_id,
        job_name=plain(job_name),
        cron=plain(cron),
        hashed=plain(hashed),
        time_zone=time_zone,
        next_run=moment(next_run),
        last_run=maybe(moment, last_run),
        body=json.loads(body),
    )
