"""What requests may hold, as models: they check what comes in, and the OpenAPI document is
made of them.

Names are the known service's, in camelCase. A number is a number here: an id as text is refused
by name, for it would be equal to no other. Messages and schedules, which are here, keep what else
they hold; the verbs of our own, in `shapes_verbs`, refuse what they don't know. `admission` makes
operations of these.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from labs.queue_service.operations import ANNOTATION, BACKOFF_S, MAX_ATTEMPTS
from labs.task_queue.tasks import LONGEST_DELAY_S, LONGEST_ID, LONGEST_PAUSE_S, PRIORITIES

LARGEST = 2**53
"""Up to this, every JSON reader has whole numbers exactly."""
MOST_AT_ONCE = 1000
"""Messages in one request or answer; a client asks again for more."""
MOST_BLOCKERS = 1000
MOST_WINDOWS = 100
MAX_WAIT_S = 30.0
"""A claim waits no longer here: proxies cut what is silent for a minute."""
MOST_ATTEMPTS = 1000
LONGEST_KEY = 255


def _whole(value: object) -> object:
    """As JSON Schema has it, 2.0 is a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: object) -> object:
    """Annotations come from YAML, where some write quotes."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _minutes(value: object) -> object:
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,6}", value) else value


def _number(value: object) -> object:
    """An id as text would be equal to no other, later on."""
    if isinstance(value, str):
        raise PydanticCustomError("id_as_text", "It must be a number, not text.")
    return _whole(value)


Id = Annotated[int, Field(ge=1, le=LARGEST), BeforeValidator(_number)]
Count = Annotated[int, BeforeValidator(_whole)]
Flag = Annotated[
    bool,
    BeforeValidator(_flag),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}),
]
Minutes = Annotated[
    float,
    Field(ge=0, le=999_999),
    BeforeValidator(_minutes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 999_999},
                {"type": "string", "pattern": "^[0-9]{1,6}$"},
            ]
        }
    ),
]
Text = Annotated[str, Field(max_length=LONGEST_ID)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, pattern=r"^[^\x00]*$")]
Cluster = Annotated[str, Field(max_length=64, pattern=r"^[ -~]*$")]
"""Printable ASCII: it is a routing key, too."""
Seconds = Annotated[float, Field(ge=0, le=LONGEST_DELAY_S)]
Lease = Annotated[float, Field(ge=0.001, le=LONGEST_DELAY_S)]


class Shape(BaseModel):
    """A JSON object; nothing in it is taken for something else."""

    model_config = ConfigDict(
        strict=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )


# --- A message --------------------------------------------------------------------------------


class Annotations(Shape):
    """What a job's author has written beside it. Those of other names are kept."""

    collapse: Annotated[Flag, Field(alias=f"{ANNOTATION}collapseBuilds")] = True
    """A newer build of the job takes the place of those that are blocked."""
    blocked_by_same_job: Annotated[Flag, Field(alias=f"{ANNOTATION}blockedBySameJob")] = True
    """False: the own job blocks no longer than the next annotation says."""
    same_job_wait: Annotated[Minutes, Field(alias=f"{ANNOTATION}blockedBySameJobWaitTime")] = 5.0
    """In minutes."""
    virtual: Annotated[Flag, Field(alias=f"{ANNOTATION}virtualJob")] = False
    """Nothing is to be run: it is done as soon as nothing blocks it."""


class Pipeline(Shape):
    """Where a job belongs."""

    id: Id | None = None
    scm_context: Annotated[str, Field(pattern=r"^[^:]+:.+$", max_length=LONGEST_ID)] | None = None
    config_pipeline_id: Id | None = None


class Body(Shape):
    """What a start and the message of a schedule have in common. What else there is, is kept."""

    job_name: Text = ""
    blocked_by: Annotated[list[Id], Field(max_length=MOST_BLOCKERS)] | None = None
    """Jobs that must not be running, mostly with the own one among them. Not given: the own one
    alone; an empty list: none."""
    blocked_by_self: bool = True
    """False: the own job in `blockedBy` counts for nothing."""
    freeze_windows: Annotated[
        list[Annotated[str, Field(max_length=256)]], Field(max_length=MOST_WINDOWS)
    ] = []
    """Times in UTC in which it does not start: cron expressions with a `?`."""
    annotations: Annotations | None = None
    api_uri: str | None = None
    pipeline: Pipeline | None = None
    is_pr: Annotated[bool | None, Field(alias="isPR")] = None
    pr_parent_job_id: Id | None = None
    container: str | None = None
    build_cluster_name: Cluster | None = None
    """Only workers of this cluster may claim it."""
    priority: Annotated[Count, Field(ge=PRIORITIES.start, lt=PRIORITIES.stop)] = 0
    """The higher, the sooner."""
    delay_s: Seconds = 0.0
    max_attempts: Annotated[Count, Field(ge=1, le=MOST_ATTEMPTS)] = MAX_ATTEMPTS
    backoff_s: Annotated[float, Field(ge=0, le=LONGEST_PAUSE_S)] = BACKOFF_S
    """The pause after the first attempt that has failed; it doubles with each."""


START_EXAMPLE: dict[str, Any] = {
    "buildId": 4211,
    "jobId": 777,
    "jobName": "main",
    "blockedBy": [777],
    "freezeWindows": [],
    "isPR": False,
    "annotations": {f"{ANNOTATION}collapseBuilds": True},
    "container": "node:22",
}


class StartWanted(Body):
    """A build that is to run. `token`, `build` and `causeMessage` are read, and not kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [START_EXAMPLE]})

    build_id: Id
    """A number: text would be equal to no other id."""
    job_id: Id
    job_state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    """Of a job that is DISABLED, nothing is stored."""
    job_archived: bool = False
    cause_message: str | None = None
    """With `[force start]` in it, freeze windows are passed over."""
    build: dict[str, Any] | None = None
    token: str | None = None


class StopWanted(Shape):
    """A message that is not to run, or no longer: by its build, or by its id."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"buildId": 4211, "jobId": 777}, {"id": "777@2030-01-31T12:00:00Z"}],
            "oneOf": [{"required": ["buildId"]}, {"required": ["id"]}],
        }
    )

    build_id: Id = Field(default=cast(int, None))
    id: Name = Field(default=cast(str, None))
    """In place of the build, which a schedule's message does not have."""
    job_id: Id | None = None


class JobWanted(Shape):
    """A job."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"jobId": 777}]})

    job_id: Id


# --- A schedule -------------------------------------------------------------------------------


class PeriodicAnnotations(Annotations):
    """With the one that says when it runs."""

    cron: Annotated[str | None, Field(alias=f"{ANNOTATION}buildPeriodically")] = None


class Permutation(Shape):
    """One way in which a job runs; the first is looked at."""

    annotations: PeriodicAnnotations | None = None


class Job(Shape):
    """A job in the known service's words."""

    id: Id | None = None
    name: Text = ""
    state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    archived: bool = False
    permutations: list[Permutation] = []


PERIODIC_EXAMPLES: list[Any] = [
    {"jobId": 777, "cron": "H 9-17 * * MON-FRI", "timeZone": "Europe/Berlin", "message": {}},
    {
        "jobId": 777,
        "job": {"permutations": [{"annotations": {f"{ANNOTATION}buildPeriodically": "H H * * *"}}]},
    },
]


class PeriodicWanted(Shape):
    """A job that starts by the clock: with `cron`, or in the known service's words in `job`.

    It takes the place of the schedule that the job had; without an expression it has none.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": PERIODIC_EXAMPLES,
            "anyOf": [
                {"required": ["jobId"]},
                {"required": ["job"], "properties": {"job": {"required": ["id"]}}},
            ],
        }
    )

    job_id: Id | None = None
    job_name: Text = ""
    job_state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    job_archived: bool = False
    job: Job | None = None
    cron: Annotated[str, Field(max_length=256)] | None = None
    """Five fields; `H` is a number of the job's own, and the minute is always that."""
    time_zone: Annotated[str, Field(max_length=64)] = "UTC"
    """An IANA name."""
    message: Body | None = None
    """As a start, without `buildId` and `jobId`."""
    pipeline: Pipeline | None = None
    build_cluster_name: Cluster | None = None
    is_update: bool = False
    trigger_build: bool = False
    """Start it once at once, too."""
    token: str | None = None
