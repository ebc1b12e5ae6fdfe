"""What goes over the wire between the task queue's server and its clients, as JSON.

Requests and answers are models here: the server checks what comes in by them, and its OpenAPI
document is made of them. Tasks, claims and errors turn into JSON and back by the functions at
the end, which server and client share, so that an error is the same class on either side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from labs.errors import LabError
from labs.task_queue.errors import (
    BadTask,
    ClaimLost,
    StoreUnfit,
    StoreUnreachable,
    TaskError,
    Unauthorised,
    UnknownTask,
    WrongStage,
)
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import LONGEST_DELAY_S, LONGEST_ID, Claim, Json, Task

MAX_ITEMS = 1000
"""Tasks in one request or answer, ids in a page; a client asks again for more."""
MAX_WAIT_S = 30.0
"""A claim waits no longer on the server: proxies cut what is silent for a minute."""
LARGEST_MOVE = 2**53

STATUS: Mapping[type[LabError], int] = {
    BadTask: 422,
    Unauthorised: 401,
    UnknownTask: 404,
    WrongStage: 409,
    ClaimLost: 409,
    StoreUnreachable: 503,
    StoreUnfit: 503,
}
"""Error -> what it is answered with. `kind` in the answer is the class's name."""
KINDS: Mapping[str, type[LabError]] = {kind.__name__: kind for kind in STATUS}

Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, examples=["task-1"])]
Owner = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_ID,
        pattern=r"^[^\x00]+$",
        description="who claimed it",
        examples=["worker-1"],
    ),
]


def _whole(value: object) -> object:
    """As JSON Schema has it, 2.0 is a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Move = Annotated[
    int,
    Field(ge=1, le=LARGEST_MOVE, description="the claim's `move`: no later claim has it"),
    BeforeValidator(_whole),
]
Lease = Annotated[float, Field(ge=0.001, le=LONGEST_DELAY_S, description="seconds")]
Delay = Annotated[float, Field(ge=0, le=LONGEST_DELAY_S, description="seconds")]


class Wanted(BaseModel):
    """The body of a request: strangers are refused, and nothing is taken for something else."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ClaimWanted(Wanted):
    """Claim tasks."""

    n_items: Annotated[
        int, Field(ge=1, le=MAX_ITEMS, description="at most so many"), BeforeValidator(_whole)
    ] = 1
    lease_s: Annotated[
        Lease | None,
        Field(description="seconds to settle or extend it in; else it is held until settled"),
    ] = None
    owner: Annotated[
        Owner | None, Field(description="who may settle it; else, with a lease, a new name")
    ] = None
    wait_s: Annotated[
        float, Field(ge=0, le=MAX_WAIT_S, description="seconds to wait if there is none")
    ] = 0.0


class HoldWanted(Wanted):
    """Who holds a task: both are in the answer to the claim."""

    owner: Owner | None = None
    move: Move | None = None


class OutcomeWanted(HoldWanted):
    """What became of a task."""

    succeeded: bool
    result: Annotated[Any, Field(description="of a success: any JSON, kept with it")] = None
    reason: Annotated[str, Field(description="of a failure")] = ""


class SettleWanted(Wanted):
    """Settle many tasks, each by itself."""

    outcomes: Annotated[dict[Id, OutcomeWanted], Field(min_length=1, max_length=MAX_ITEMS)]


class SuccessWanted(HoldWanted):
    """A task is done."""

    id: Id
    result: Annotated[Any, Field(description="any JSON, kept with the task")] = None


class FailWanted(HoldWanted):
    """An attempt has failed."""

    id: Id
    reason: str = ""


class RefuseWanted(Wanted):
    """A waiting task can never be worked on."""

    id: Id
    reason: str


class ExtendWanted(Wanted):
    """Let leases end so long from now."""

    tasks: Annotated[dict[Id, HoldWanted], Field(min_length=1, max_length=MAX_ITEMS)]
    lease_s: Lease


class ReleaseWanted(Wanted):
    """Hand tasks back unworked."""

    tasks: Annotated[dict[Id, HoldWanted], Field(min_length=1, max_length=MAX_ITEMS)]
    delay_s: Delay = 0.0


# --- Answers ----------------------------------------------------------------------------------


class Sizes(BaseModel):
    """How many tasks are in each stage."""

    WAITING: int
    PROCESSING: int
    SUCCESS: int
    FAIL: int


class Item(BaseModel):
    """What the known interface says of a task."""

    item_id: str
    status: Annotated[int, Field(ge=0, le=3)]
    item_body: Any


Pair = Annotated[list[Any], Field(min_length=2, max_length=2, examples=[["task-1", {"n": 1}]])]
"""An id and a body."""


class Described(BaseModel):
    """What kind of queue it is."""

    implementation: str
    arguments: dict[str, Any]


class Skipped(BaseModel):
    """What was skipped, in the known words."""

    detail: list[str]


class Claimed(BaseModel):
    """A claim; `owner` and `move` are to be given when the task is settled."""

    id: str
    body: Any
    owner: str | None
    attempt: int
    move: int
    lease_ends: datetime | None


class TaskSaid(BaseModel):
    """Everything that is known of a task."""

    id: str
    stage: Annotated[int, Field(ge=0, le=3)]
    body: Any
    priority: int
    attempts: int
    max_attempts: int | None
    backoff_s: float
    moves: int
    owner: str | None
    lease_ends: datetime | None
    due: datetime
    put_at: datetime
    claimed_at: datetime | None
    settled_at: datetime | None
    result: Any
    reason: str


class Problem(BaseModel):
    """What went wrong: the kind of error, a sentence, and what to do next."""

    detail: str
    kind: str
    remedy: str


class Wrong(BaseModel):
    """Where a request is not as it must be."""

    loc: list[str | int]
    msg: str
    type: str


class BadRequest(BaseModel):
    """A request is not as it must be; nothing was done."""

    detail: str | list[Wrong]
    kind: str
    remedy: str


class KnownProblem(BaseModel):
    """What went wrong, as the known interface says it."""

    detail: str


class Refusals(BaseModel):
    """Why some tasks could not be moved, by id; the others were."""

    refused: dict[str, Problem]


class AllRefused(Problem):
    """None could be moved: the first one's error, and each one's."""

    refused: dict[str, Problem] = {}


class Purged(BaseModel):
    """How many were deleted."""

    purged: int


class Healthy(BaseModel):
    """The store answers."""

    status: str


# --- JSON and back ----------------------------------------------------------------------------


def claim_json(claim: Claim) -> dict[str, Json]:
    """A claim as JSON."""
    return {
        "id": claim.id,
        "body": claim.body,
        "owner": claim.owner,
        "attempt": claim.attempt,
        "move": claim.move,
        "lease_ends": _text(claim.lease_ends),
    }


def claim_of(said: Mapping[str, Any]) -> Claim:
    """A claim from its JSON."""
    return Claim(
        said["id"],
        said["body"],
        owner=said["owner"],
        attempt=said["attempt"],
        move=said["move"],
        lease_ends=_time(said["lease_ends"]),
    )


def task_json(task: Task) -> dict[str, Json]:
    """All of a task as JSON."""
    values = {field.name: getattr(task, field.name) for field in fields(task)}
    return {
        name: _text(value) if isinstance(value, datetime) else value
        for name, value in values.items()
    }


TIMES = ("lease_ends", "due", "put_at", "claimed_at", "settled_at")


def task_of(said: Mapping[str, Any]) -> Task:
    """A task from its JSON; what a newer server says besides is passed over."""
    values = {field.name: said[field.name] for field in fields(Task)}
    times = {name: _time(said[name]) for name in TIMES}
    return Task(**{**values, **times, "stage": Stage(said["stage"])})


def problem_json(error: LabError) -> dict[str, Json]:
    """An error as JSON: its kind, its sentence, its remedy."""
    kind = next((name for name, known in KINDS.items() if isinstance(error, known)), None)
    return {
        "detail": str(error),
        "kind": kind or type(error).__name__,
        "remedy": error.remedy,
    }


def refused_json(refused: Mapping[str, TaskError]) -> dict[str, Json]:
    """Errors by id as JSON."""
    return {id_: problem_json(error) for id_, error in refused.items()}


def status_of(error: LabError) -> int:
    """What an error is answered with."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
