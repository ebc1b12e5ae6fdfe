"""What the verbs of our own may hold, and what may stand after the `?` of an address.

Strangers are refused here by name: a slip of the pen must not pass for something else.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, cast

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from labs.queue_service.messages import State
from labs.queue_service.shapes import (
    LARGEST,
    MAX_WAIT_S,
    MOST_AT_ONCE,
    Cluster,
    Count,
    Id,
    Lease,
    Name,
    Shape,
)


class Verb(Shape):
    """An object in which strangers are refused."""

    model_config = ConfigDict(extra="forbid")


# --- Dispatch ---------------------------------------------------------------------------------


class ClaimWanted(Verb):
    """Take the next messages."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"owner": "worker-1", "n": 10, "leaseS": 60, "waitS": 0}]}
    )

    owner: Name
    """Who takes them: one name for each worker."""
    n: Annotated[Count, Field(ge=1, le=MOST_AT_ONCE)] = 1
    lease_s: Lease = 60.0
    cluster: Cluster = ""
    """Those of this build cluster; empty: those of none."""
    wait_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 0.0
    """If there is none, wait for one so long."""


class HeldWanted(Verb):
    """Which claim is meant, as the answer to it has said."""

    id: Name
    owner: Name
    move: Id


class ExtendWanted(HeldWanted):
    """Let a lease end so long from now."""

    lease_s: Lease = 60.0


class AckWanted(HeldWanted):
    """The build is done."""

    result: Any = None
    """Any JSON, kept with it."""


class NackWanted(HeldWanted):
    """The attempt has failed, or was not made."""

    reason: str = ""
    requeue: bool = False
    """It was not tried: the attempt does not count."""
    final: bool = False
    """More attempts would not help."""


class FailedWanted(Verb):
    """Some of the failed messages by their ids, or all of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"ids": ["4211"]}, {"all": True}],
            "oneOf": [{"required": ["ids"]}, {"required": ["all"]}],
        }
    )

    ids: list[Name] = Field(default=[], min_length=1, max_length=MOST_AT_ONCE)
    all: Literal[True] = Field(default=cast(Literal[True], False))


# --- Addresses --------------------------------------------------------------------------------


def _digits(value: object) -> object:
    """Of an address; `int` would take `1_0`, and figures of other scripts, too."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,16}", value):
        return int(value)
    raise PydanticCustomError("no_digits", "It must be a whole number.")


def _moment(value: object) -> object:
    """Of an address; pydantic would take a number for seconds since 1970, too."""
    if isinstance(value, str) and re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T", value):
        return value
    raise PydanticCustomError("no_moment", "It must be a time, such as 2030-01-31T12:00:00Z.")


AddressId = Annotated[int, Field(ge=1, le=LARGEST), BeforeValidator(_digits)]


class Query(Shape):
    """What stands after the `?`: text, of which numbers and times are made."""

    model_config = ConfigDict(extra="forbid", strict=False)


class TypeWanted(Query):
    """What kind of message is meant; none: a build."""

    type: Literal["periodic", "frozen"] | None = None


class FindWanted(Query):
    """One of them: a message, or the newest of a job."""

    job_id: AddressId | None = None
    build_id: AddressId | None = None
    id: Name | None = None


class ListWanted(Query):
    """All that is given must be so."""

    state: State | None = None
    job_id: AddressId | None = None
    cluster: Cluster | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_AT_ONCE), BeforeValidator(_digits)] = 50
    after: Name | None = None
    """The `next` of the page before."""


class SamplesWanted(Query):
    """From when on."""

    since: Annotated[AwareDatetime, BeforeValidator(_moment)] | None = None
    """With a time zone, such as 2030-01-31T12:00:00Z; an hour ago if it is not given."""
