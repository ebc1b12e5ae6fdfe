"""The door of the queue service: a request's JSON becomes an operation, or is refused.

Whatever is missing, mistyped or can't be meant is named as the caller spells it, all of it at
once. Behind this door nothing is checked again. `token` is dropped here, so that nothing stores
or shows it; `build` and `causeMessage` are, as the known service drops them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from labs.queue_service.cron import hashed
from labs.queue_service.errors import BadMessage
from labs.queue_service.freezing import admitted_window
from labs.queue_service.operations import (
    ANNOTATION,
    FORCE,
    Ack,
    Claim,
    DeleteSchedule,
    Discard,
    Extend,
    Find,
    GetSamples,
    Held,
    ListMessages,
    Nack,
    PutSchedule,
    Replay,
    Start,
    Stop,
    StopFrozen,
    Thaw,
)
from labs.queue_service.problems import BadRequest, Wrong
from labs.queue_service.schedule import next_run
from labs.queue_service.shapes import (
    LONGEST_KEY,
    Annotations,
    Body,
    JobWanted,
    PeriodicWanted,
    StartWanted,
    StopWanted,
)
from labs.queue_service.shapes_json import MOST_NAMED, REMEDY, named
from labs.queue_service.shapes_verbs import (
    AckWanted,
    ClaimWanted,
    ExtendWanted,
    FailedWanted,
    FindWanted,
    HeldWanted,
    ListWanted,
    NackWanted,
    Query,
    SamplesWanted,
    TypeWanted,
)
from labs.task_queue.tasks import Json, admitted_reason

M = TypeVar("M", bound=BaseModel)

DROPPED = frozenset({"token", "build", "causeMessage"})
KNOWN_CRON = f"job.permutations.0.annotations.{ANNOTATION}buildPeriodically"
SINCE = timedelta(hours=1)
NO_ANNOTATIONS = Annotations()


def shaped(model: type[M], value: object) -> M:
    """The value as this model.

    Raises:
        BadRequest: it does not fit; each field that is wrong is named.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    wrong = [Wrong(named(one["loc"]), f"{one['msg'].rstrip('.')}.") for one in found[:MOST_NAMED]]
    raise BadRequest(wrong, remedy=REMEDY)


# --- Messages ---------------------------------------------------------------------------------


def start(value: Json, key: str | None = None, subject: str = "") -> Start:
    """A build that is to run.

    Args:
        key: as `idempotency_key` admits it.
        subject: who sends it; the same key of somebody else is another one.

    Raises:
        BadMessage: it can't be meant.
    """
    wanted = shaped(StartWanted, value)
    return Start(
        build_id=wanted.build_id,
        job_id=wanted.job_id,
        body=kept(value),
        disabled=wanted.job_archived or wanted.job_state == "DISABLED",
        force=FORCE in (wanted.cause_message or ""),
        idempotency_key=_of_sender(key, subject) if key else None,
        fingerprint="" if key is None else _fingerprint(value),
        **_common(wanted, wanted.job_id),
    )


def kept(value: Mapping[str, Json]) -> Mapping[str, Json]:
    """What is stored of a request."""
    return {name: inner for name, inner in value.items() if name not in DROPPED}


def _common(wanted: Body, job_id: int, where: str = "") -> dict[str, Any]:
    """Those fields of an operation that a start and a schedule's message share.

    Args:
        where: stands before the names of fields, in errors.
    """
    annotations = wanted.annotations or NO_ANNOTATIONS
    return {
        "job_name": wanted.job_name,
        "blocked_by": (job_id,) if wanted.blocked_by is None else tuple(wanted.blocked_by),
        "collapse": annotations.collapse,
        "blocked_by_self": wanted.blocked_by_self,
        "blocked_by_same_job": annotations.blocked_by_same_job,
        "same_job_wait_s": annotations.same_job_wait * 60,
        "virtual": annotations.virtual,
        "freeze_windows": _windows(wanted.freeze_windows, where) if wanted.freeze_windows else (),
        "cluster": wanted.build_cluster_name or "",
        "priority": wanted.priority,
        "delay_s": wanted.delay_s,
        "max_attempts": wanted.max_attempts,
        "backoff_s": wanted.backoff_s,
    }


def _windows(texts: list[str], where: str) -> tuple[str, ...]:
    wrong: list[Wrong] = []
    admitted: list[str] = []
    remedy = ""
    for n, text in enumerate(texts):
        try:
            admitted.append(_window(text, n))
        except BadMessage as error:
            wrong.append(Wrong(f"{where}{error.field}", str(error)))
            remedy = error.remedy
    if wrong:
        raise BadRequest(wrong[:MOST_NAMED], remedy=remedy)
    return tuple(admitted)


_window = lru_cache(maxsize=1024)(admitted_window)
"""The builds of a project have mostly the same windows."""


def idempotency_key(key: str | None) -> str | None:
    """What the header of this name says. Raises BadMessage: it can't be meant."""
    if key is not None and not re.fullmatch(f"[!-~]{{1,{LONGEST_KEY}}}", key):
        raise BadMessage(
            f"An Idempotency-Key has 1 to {LONGEST_KEY} characters of printable ASCII, and no "
            "spaces.",
            field="Idempotency-Key",
            remedy="A random one will do, such as a UUID: the same for each try of one request.",
        )
    return key


def _of_sender(key: str, subject: str) -> str:
    """The key as it is kept, told from the same one of somebody else, whatever they are called."""
    if not subject:
        return key
    return f"{key} {hashlib.sha256(subject.encode(errors='surrogatepass')).hexdigest()}"


def _fingerprint(value: Mapping[str, Json]) -> str:
    """Tells requests apart; the token may be another one when a request is sent again."""
    said = {name: inner for name, inner in value.items() if name != "token"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def stop(value: Json) -> Stop:
    """A message that is not to run, or no longer. Raises BadMessage."""
    wanted = shaped(StopWanted, value)
    if (wanted.build_id is None) == (wanted.id is None):
        raise _only_one("buildId", "id")
    return Stop(build_id=wanted.build_id, id=wanted.id, job_id=wanted.job_id)


def thaw(value: Json) -> Thaw:
    """A job's frozen message that waits no more. Raises BadMessage."""
    return Thaw(job_id=shaped(JobWanted, value).job_id)


def stop_frozen(value: Json) -> StopFrozen:
    """A job's frozen message that is not to run. Raises BadMessage."""
    return StopFrozen(job_id=shaped(JobWanted, value).job_id)


def find(query: Mapping[str, str]) -> Find:
    """A look at one message. Raises BadMessage."""
    wanted = shaped(FindWanted, query)
    if len(wanted.model_fields_set) != 1:
        raise _only_one("jobId", "buildId", "id")
    if wanted.job_id is not None:
        return Find(job_id=wanted.job_id)
    return Find(id=wanted.id if wanted.build_id is None else str(wanted.build_id))


def list_messages(query: Mapping[str, str]) -> ListMessages:
    """A page. Raises BadMessage."""
    wanted = shaped(ListWanted, query)
    return ListMessages(
        state=wanted.state,
        job_id=wanted.job_id,
        cluster=wanted.cluster,
        limit=wanted.limit,
        after=wanted.after,
    )


def samples(query: Mapping[str, str]) -> GetSamples:
    """How the queue has stood. Raises BadMessage."""
    since = shaped(SamplesWanted, query).since
    try:
        return GetSamples(since=since.astimezone(UTC) if since else datetime.now(UTC) - SINCE)
    except OverflowError:
        raise BadMessage(
            "In UTC it is outside the years 1 to 9999.", field="since", remedy="Give a later time."
        ) from None


def type_of(query: Mapping[str, str]) -> str | None:
    """What kind of message is meant. Raises BadMessage: it is none that there is."""
    return shaped(TypeWanted, query).type if query else None


def nothing(query: Mapping[str, str]) -> None:
    """Where nothing can be asked for. Raises BadMessage: something was."""
    if query:
        shaped(Query, query)


def _only_one(*names: str) -> BadMessage:
    words = f"{', '.join(names[:-1])} and {names[-1]}"
    return BadMessage(f"Give one of {words}, and only one.", field=names[0], remedy=REMEDY)


# --- Schedules --------------------------------------------------------------------------------


def put_schedule(value: Json) -> PutSchedule:
    """A job that starts by the clock. Raises BadMessage."""
    wanted = shaped(PeriodicWanted, value)
    job = wanted.job
    job_id = wanted.job_id or (job.id if job else None)
    if job_id is None or (job and job.id not in (None, job_id)):
        raise BadMessage(
            "It does not say, or not clearly, which job is meant.",
            field="jobId",
            remedy="Give jobId, or job.id; if both, the same.",
        )
    known = job.permutations[0].annotations if job and job.permutations else None
    cron, field = wanted.cron, "cron"
    if cron is None and known:
        cron, field = known.cron, KNOWN_CRON
    if cron is not None:
        next_run(hashed(cron, job_id, field=field), wanted.time_zone, datetime.now(UTC))
    disabled = wanted.job_archived or wanted.job_state == "DISABLED"
    disabled = disabled or (job is not None and (job.archived or job.state == "DISABLED"))
    name = wanted.job_name or (job.name if job else "")
    if wanted.message is None:
        body = _known_message(value)
        message = shaped(Body, body)
    else:
        body, message = kept(value["message"]), wanted.message
    fields = _common(message, job_id, "message.")
    fields["job_name"] = name = name or message.job_name
    return PutSchedule(
        job_id=job_id,
        job_name=name,
        cron=None if disabled else cron,
        time_zone=wanted.time_zone,
        body=body,
        template=Start(build_id=0, job_id=job_id, body=body, **fields),
        trigger=wanted.trigger_build and not disabled,
    )


def _known_message(value: Mapping[str, Json]) -> Mapping[str, Json]:
    """The message of each run in the known service's words: what the job's author has written."""
    permutations = (value.get("job") or {}).get("permutations") or [{}]
    found = {
        "annotations": permutations[0].get("annotations"),
        "pipeline": value.get("pipeline"),
        "buildClusterName": value.get("buildClusterName"),
    }
    return {name: inner for name, inner in found.items() if inner is not None}


def delete_schedule(value: Json) -> DeleteSchedule:
    """A job that starts by the clock no more. Raises BadMessage."""
    return DeleteSchedule(job_id=shaped(JobWanted, value).job_id)


# --- Dispatch ---------------------------------------------------------------------------------


def claim(value: Json) -> Claim:
    """The next messages. Raises BadMessage."""
    wanted = shaped(ClaimWanted, value)
    return Claim(
        owner=wanted.owner,
        n=wanted.n,
        lease_s=wanted.lease_s,
        cluster=wanted.cluster,
        wait_s=wanted.wait_s,
    )


def extend(value: Json) -> Extend:
    """A longer lease. Raises BadMessage."""
    wanted = shaped(ExtendWanted, value)
    return Extend(held=_held(wanted), lease_s=wanted.lease_s)


def ack(value: Json) -> Ack:
    """A build that is done. Raises BadMessage."""
    wanted = shaped(AckWanted, value)
    return Ack(held=_held(wanted), result=wanted.result)


def nack(value: Json) -> Nack:
    """An attempt that has failed. Raises BadMessage."""
    wanted = shaped(NackWanted, value)
    if wanted.requeue and wanted.final:
        raise BadMessage(
            "What is to be tried again can't be final.", field="final", remedy="Give one of them."
        )
    return Nack(
        held=_held(wanted),
        reason=admitted_reason(wanted.reason),
        requeue=wanted.requeue,
        final=wanted.final,
    )


def replay(value: Json) -> Replay:
    """Failed messages that are to run again. Raises BadMessage."""
    return Replay(ids=_failed(value))


def discard(value: Json) -> Discard:
    """Failed messages to forget. Raises BadMessage."""
    return Discard(ids=_failed(value))


def _failed(value: Json) -> tuple[str, ...] | None:
    wanted = shaped(FailedWanted, value)
    if bool(wanted.ids) == bool(wanted.all):
        raise _only_one("ids", "all")
    return tuple(wanted.ids) or None


def _held(wanted: HeldWanted) -> Held:
    return Held(id=wanted.id, owner=wanted.owner, move=wanted.move)
