"""Starts and stops: what comes into the queue, and what is let out of it without having run.

A start is one message, whatever is sent twice: by its build, and for a day by its idempotency
key. The rules place it; a freeze window keeps one message a job, the newest. All is within one
`Batch`, so many starts at a time cost little more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from labs.errors import LabError
from labs.queue_service import rules
from labs.queue_service.errors import BadMessage, KeyReused, UnknownMessage
from labs.queue_service.freezing import exit_of
from labs.queue_service.messages import LIVE, Enqueued, State, Stopped
from labs.queue_service.operations import Start, Stop
from labs.queue_service.store_batch import Batch
from labs.queue_service.store_rows import (
    Build,
    answer_as_text,
    answer_from_text,
    moment,
    own_job_blocks,
)
from labs.task_queue.errors import TaskError
from labs.task_queue.sql_values import escaped, plain

KEY_KEPT_S = timedelta(days=1).total_seconds()
STOPPED = "It was stopped."
SLIP = "Look for a slip in its id."
SENTENCES = {
    "disabled": "Its job is disabled or archived: nothing was stored.",
    "there": "This build is there already: it is one message.",
    "stopped": "It had been stopped before it came, and will not run.",
    "overtaken": "A newer build of its job is there: it will not run.",
}


def start_all(batch: Batch, starts: Sequence[Start]) -> list[Enqueued | LabError]:
    """Enqueue messages, each by itself; what a key was answered with before is answered again."""
    keys = _Keys(batch, starts)
    batch.load(str(start.build_id) for start in starts)
    batch.load_jobs(job for start in starts for job in (start.job_id, *start.blocked_by))
    batch.load_lines(start.job_id for start in starts)
    answers: list[Enqueued | LabError] = []
    for start in starts:
        try:
            answer = keys.known(start)
            if answer is None:
                answer = keys.remember(start, start_one(batch, start, str(start.build_id)))
        except LabError as error:
            answers.append(error)
        else:
            answers.append(answer)
    keys.save()
    return answers


def start_one(batch: Batch, start: Start, id_: str, *, scheduled: bool = False) -> Enqueued:
    """Enqueue one message, if it is new.

    Args:
        scheduled: a schedule has made it, which knows no build.

    Raises:
        BadTask: there can't be such a build cluster. BadMessage: nor such a freeze window.
    """
    if present := batch.find(id_):
        stopped = present.state is State.STOPPED and not present.started_at
        return answer_of(present, note=SENTENCES["stopped" if stopped else "there"])
    batch.load_lines([start.job_id])
    frozen = batch.frozen.get(start.job_id)
    if start.disabled:
        if frozen:
            leave(batch, frozen, State.STOPPED, "Its job was disabled.")
        return Enqueued(
            id="",
            build_id=start.build_id,
            job_id=start.job_id,
            state=State.STOPPED,
            created=False,
            note=SENTENCES["disabled"],
        )
    line = batch.store.line(start.cluster).name
    until = None if start.force else exit_of(start.freeze_windows, moment(batch.now))
    build = _build_of(batch, start, id_, line, scheduled=scheduled)
    batch.add(build, start, start.body)
    if frozen and rules.age(build) > rules.age(frozen):
        give_way(batch, frozen, build.id)
        frozen = None
    if until is None:
        place(batch, build)
    elif frozen:
        give_way(batch, build, frozen.id)
    else:
        build.look_at = until.timestamp()
        batch.frozen[build.job_id] = build
        batch.move(build, State.FROZEN)
    return answer_of(build, created=True)


def _build_of(batch: Batch, start: Start, id_: str, line: str, *, scheduled: bool) -> Build:
    top_number = batch.job(start.job_id).top_number
    return Build(
        seq=batch.next_seq(),
        id=id_,
        build_id=None if scheduled else start.build_id,
        job_id=start.job_id,
        job_name=start.job_name,
        number=top_number if scheduled else start.build_id,
        state=State.QUEUED,
        cluster=start.cluster,
        line=escaped(line),
        blocked_by=tuple(dict.fromkeys(start.blocked_by)),
        collapse=start.collapse,
        blocks_self=own_job_blocks(start),
        same_job_wait_s=None if start.blocked_by_same_job else start.same_job_wait_s,
        virtual=start.virtual,
        enqueued_at=batch.now,
        due=batch.now + start.delay_s,
    )


def answer_of(build: Build, *, created: bool = False, note: str = "") -> Enqueued:
    """What is said of a message that was to be enqueued."""
    if build.state is State.COLLAPSED and created:
        note = SENTENCES["overtaken"]
    is_frozen = build.state is State.FROZEN and build.look_at is not None
    return Enqueued(
        id=build.id,
        build_id=build.build_id,
        job_id=build.job_id,
        state=build.state,
        created=created,
        until=moment(build.look_at) if is_frozen and build.look_at else None,
        waits_for=build.waits_for,
        note=note,
    )


def place(batch: Batch, build: Build, *, again: bool = False) -> None:
    """Let a message that is new, was frozen, or has failed, take its place in its job's line."""
    line = batch.line(build.job_id)
    if newer := rules.overtaken(build, batch.job(build.job_id), line, again=again):
        give_way(batch, build, newer)
        return
    older = rules.gives_way(line, build)
    if isinstance(older, Build):
        line.collapsible = None
        give_way(batch, older, build.id)
    batch.decide(build)
    if build.state in LIVE:
        line.add(build, blocked=build.state is State.BLOCKED)


def give_way(batch: Batch, build: Build, newer: str) -> None:
    """Collapse a message into a newer one."""
    if build.state is State.FROZEN:
        batch.frozen.pop(build.job_id, None)
    batch.collapse(build, newer)


def leave(batch: Batch, build: Build, state: State, reason: str) -> None:
    """Let a message that waits wait no more."""
    build.reason = reason
    if build.state is State.FROZEN:
        batch.frozen.pop(build.job_id, None)
    batch.move(build, state)
    batch.forget_line(build.job_id)


# --- Stops --------------------------------------------------------------------------------------


def stop(batch: Batch, asked: Stop) -> Stopped:
    """Stop a message, wherever it is; a build that is not known is stopped before it comes.

    Raises:
        BadMessage: it is of another job. UnknownMessage: there is none of this id.
    """
    id_ = asked.id or str(asked.build_id)
    batch.load([id_])
    build = batch.find(id_)
    if build is None:
        if asked.build_id is None:
            raise UnknownMessage(f"There is no message {id_!r:.80}.", remedy=SLIP)
        _mark(batch, asked.build_id, asked.job_id or 0)
        return Stopped(id=id_, was=None, stopped=True)
    if asked.job_id is not None and build.job_id not in (asked.job_id, 0):
        raise BadMessage(
            f"Build {id_} is of job {build.job_id}, not of job {asked.job_id}.",
            field="jobId",
            remedy="Give the job of the build, or leave it out.",
        )
    return stop_build(batch, build)


def stop_build(batch: Batch, build: Build) -> Stopped:
    """Stop a message; a claim of it is void at once."""
    if build.state is State.RUNNING:
        try:
            batch.tasks(build.cluster).release(build.id, owner=build.owner)
        except TaskError:  # its lease has run out, and this has made it count
            batch.absorb()
    was = build.state
    if was not in LIVE:
        return Stopped(id=build.id, was=was, stopped=False)
    leave(batch, build, State.STOPPED, STOPPED)
    return Stopped(id=build.id, was=was, stopped=True)


def _mark(batch: Batch, build_id: int, job_id: int) -> None:
    mark = Start(build_id=build_id, job_id=job_id, blocked_by=(), body={})
    batch.load_jobs([job_id])
    build = _build_of(batch, mark, str(build_id), batch.store.line("").name, scheduled=False)
    build.reason = STOPPED
    batch.add(build, mark, None)
    batch.move(build, State.STOPPED)


def thaw(batch: Batch, job_id: int) -> Enqueued:
    """Let the frozen message of a job wait for the end of its window no more.

    Raises:
        UnknownMessage: it has none.
    """
    build = frozen_of(batch, job_id)
    if build is None:
        raise UnknownMessage(
            f"Job {job_id} has no message that is frozen.",
            remedy="It may have been released already: look at the job's newest message.",
        )
    release(batch, build)
    return answer_of(build)


def release(batch: Batch, build: Build) -> None:
    """Let a frozen message take its place, as if it came now."""
    batch.frozen.pop(build.job_id, None)
    batch.load_lines([build.job_id])
    build.look_at = None
    place(batch, build)


def stop_frozen(batch: Batch, job_id: int) -> Stopped:
    """Stop the frozen message of a job, if there is one."""
    build = frozen_of(batch, job_id)
    if build is None:
        return Stopped(id="", was=None, stopped=False)
    return stop_build(batch, build)


def frozen_of(batch: Batch, job_id: int) -> Build | None:
    """The frozen message of a job."""
    batch.load_lines([job_id])
    return batch.frozen.get(job_id)


# --- Idempotency keys ---------------------------------------------------------------------------


class _Keys:
    """The idempotency keys of some starts: what they were answered with, and will be."""

    def __init__(self, batch: Batch, starts: Sequence[Start]) -> None:
        self._batch = batch
        keys = [escaped(start.idempotency_key) for start in starts if start.idempotency_key]
        rows = []
        if keys:
            said = [{"key": key} for key in dict.fromkeys(keys)]
            rows = list(batch.store.run(batch.session, batch.store.say.keys, said, at=batch.now))
        self._known = {plain(row[0]): (row[1], answer_from_text(row[2])) for row in rows}
        self._new: dict[str, tuple[str, Enqueued]] = {}

    def known(self, start: Start) -> Enqueued | None:
        """The answer that its key had.

        Raises:
            KeyReused: it had it for another request.
        """
        if not start.idempotency_key or start.idempotency_key not in self._known:
            return None
        fingerprint, answer = self._known[start.idempotency_key]
        if fingerprint != start.fingerprint:
            raise KeyReused(
                "This idempotency key came before, with another request.",
                remedy="Give each request a key of its own, and a repeated one the same key.",
            )
        return answer

    def remember(self, start: Start, answer: Enqueued) -> Enqueued:
        """Keep the answer with its key; return it."""
        if key := start.idempotency_key:
            text = answer_as_text(answer)
            self._known[key] = start.fingerprint, answer_from_text(text)
            self._new[key] = start.fingerprint, answer
        return answer

    def save(self) -> None:
        """Write what is new."""
        if self._new:
            rows = [
                {"key": escaped(key), "fingerprint": mark, "answer": answer_as_text(answer)}
                for key, (mark, answer) in self._new.items()
            ]
            until = self._batch.now + KEY_KEPT_S
            self._batch.store.run(
                self._batch.session, self._batch.store.say.save_keys, rows, until=until
            )
