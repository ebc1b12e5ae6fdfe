"""A job: at the door, as bytes, and back. Nothing here acts on anything.

A job is a mapping with a `job_type`, and whatever else its handler wants, in JSON's own
kinds. `admitted` is the door: it copies the job, gives it a `job_id`, and refuses in words
what would be refused later, or read as something else than what was meant. `read` is
the other side, where nobody stands at a door: what it gives back is a job, or
`NotAJob` says why it is none.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from labs.errors import BadInput

Job = dict[str, Any]
Handler = Callable[[Job], bool]
"""Does a job. True: done. False: not yet, again later. Anything else: it has failed."""

JOB_TYPE, JOB_ID = "job_type", "job_id"
VERSION = "1.0.0"
"""What `version` says in each job: the form of a job, as others know it."""
LARGEST_JOB_B = 1024 * 1024
"""A job says where its data is; it does not carry it."""
LONGEST_ID_B = 255
"""What AMQP has room for in a message's id."""
LONGEST_DELAY_S = 30 * 24 * 3600.0


class JobRefused(BadInput, ValueError):
    """Raised at the door: this can't be queued, and its sentence says why."""


class NotAJob(Exception):
    """Raised when what came out of a queue is no job; `str()` is the reason."""


def admitted(job: Mapping[str, Any]) -> tuple[str, bytes]:
    """The job's id and its bytes. The caller's mapping is not changed.

    A `job_id` of the caller's is kept, so that what is queued twice can be known as one.

    Raises:
        JobRefused: it is no mapping, has no `job_type`, is not JSON, or is too large.
    """
    if not isinstance(job, Mapping):
        raise JobRefused(
            f"A job is a mapping (not {_named(job)}).",
            remedy='Write it as {"job_type": "DemoJob", …}.',
        )
    if JOB_TYPE not in job:
        raise JobRefused(
            "A job must have a job_type: it says which handler does it.",
            remedy='Write it as {"job_type": "DemoJob", …}.',
        )
    _must_be_text(JOB_TYPE, job[JOB_TYPE])
    job_id = job.get(JOB_ID)
    if job_id is None:
        job_id = str(uuid.uuid4())
    else:
        _must_be_text(JOB_ID, job_id)
    body = _written({**job, JOB_ID: job_id, "version": VERSION})
    if len(job_id.encode()) > LONGEST_ID_B:
        raise JobRefused(
            f"The job_id has more than {LONGEST_ID_B} bytes.", remedy="Choose a shorter one."
        )
    return job_id, body


def admitted_delay(delay_s: float) -> float:
    """The delay, in seconds.

    Raises:
        JobRefused: it is no number, negative, or longer than thirty days.
    """
    is_number = isinstance(delay_s, int | float) and not isinstance(delay_s, bool)
    if not is_number or not 0 <= delay_s <= LONGEST_DELAY_S:
        raise JobRefused(
            f"delay_s must be from 0 to {LONGEST_DELAY_S:.0f} seconds (not {delay_s!r}).",
            remedy="For what is further away, keep a schedule, and queue the job when it is due.",
        )
    return float(delay_s)


def read(body: bytes) -> Job:
    """The job that these bytes are.

    Raises:
        NotAJob: they are none.
    """
    try:
        job = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise NotAJob("It is not UTF-8 text.") from None
    except RecursionError:
        raise NotAJob("It is nested too deeply to be read.") from None
    except ValueError as error:
        raise NotAJob(f"It is not JSON: {error}.") from None
    if not isinstance(job, dict):
        raise NotAJob(f"It is JSON, but no mapping: {_named(job)}.")
    if JOB_TYPE not in job:
        raise NotAJob("It has no job_type.")
    for key in (JOB_TYPE, JOB_ID):
        value = job.get(key)
        may_lack = key == JOB_ID and value is None
        if not may_lack and (not isinstance(value, str) or not value):
            raise NotAJob(f"Its {key} is {_named(value)}, not text.")
    return job


def _must_be_text(key: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        what = "empty" if isinstance(value, str) else _named(value)
        raise JobRefused(f"The {key} must be text (not {what}).", remedy="Give it a name.")


def _written(job: Job) -> bytes:
    try:
        body = _encoder.encode(job).encode("utf-8")
        _must_have_text_keys(job)
    except JobRefused:
        raise
    except RecursionError:
        raise _not_json("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise _not_json("it holds half a character (a lone surrogate)") from None
    except (TypeError, ValueError) as error:
        raise _not_json(_in_words(str(error))) from None
    if len(body) > LARGEST_JOB_B:
        raise JobRefused(
            f"The job has {len(body):,} bytes; {LARGEST_JOB_B:,} are the most.",
            remedy="Keep the data in a file or a database, and let the job say where it is.",
        )
    return body


def _must_have_text_keys(value: object) -> None:
    """JSON would turn other keys into text, and two of them into one."""
    if isinstance(value, dict):
        for key, below in value.items():
            if not isinstance(key, str):
                raise _not_json(f"the key {key!r} is not text")
            if isinstance(below, dict | list | tuple):
                _must_have_text_keys(below)
    elif isinstance(value, Sequence):
        for below in value:
            if isinstance(below, dict | list | tuple):
                _must_have_text_keys(below)


def _not_json(why: str) -> JobRefused:
    return JobRefused(
        f"The job is not JSON: {why}.",
        remedy="Use text, numbers, true, false, None, lists, and mappings with text as keys.",
    )


def _in_words(error: str) -> str:
    if error.startswith("Out of range float"):
        return "it holds a number that JSON has no word for (nan, inf)"
    if error.startswith("Circular reference"):
        return "it holds itself"
    return error[:1].lower() + error[1:]


def _named(value: object) -> str:
    """A value as a person sees it, in few letters."""
    if value is None or value == "" or isinstance(value, bool):
        return "empty" if value == "" else str(value)
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e15:
        return str(value)
    return f"a {type(value).__name__}"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON's")


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
