"""The values that go through a task queue, and the door at which they are admitted.

A body is JSON and stays text in the store, so that what comes out is what went in, the same from
every store, and nobody's own object. Ids and bodies are checked here before anything is stored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from labs.task_queue.errors import BadTask, ClaimLost, TaskError, UnknownTask, WrongStage
from labs.task_queue.stages import MOVES, Move, Stage

Json = Any
"""None, bool, int, float, str, list or dict with str keys, nested."""

LONGEST_ID = 512
"""Characters."""
LONGEST_DELAY_S = 10 * 365 * 24 * 3600.0
LONGEST_PAUSE_S = 3600.0
"""To which the pause between attempts doubles."""
PRIORITIES = range(-32_768, 32_768)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task at the door of a store, admitted: its body is JSON text in ASCII."""

    id: str
    text: str
    priority: int = 0
    delay_s: float = 0.0
    max_attempts: int | None = None
    backoff_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Put:
    """What a put did."""

    added: Sequence[str]
    """The ids that are new."""
    present: Sequence[str]
    """The ids that were there already, in whatever stage; they are as they were."""


class Claim(tuple[str, Json]):
    """A task in its owner's hand: the pair `(id, body)`, and what shows that it is held."""

    owner: str | None
    attempt: int
    """1 for the first."""
    move: int
    """The number of the move that claimed it: no later claim of the task has the same."""
    lease_ends: datetime | None

    def __new__(
        cls,
        id: str,
        body: Json,
        *,
        owner: str | None,
        attempt: int,
        move: int,
        lease_ends: datetime | None,
    ) -> Claim:
        """Make the pair, and remember how it is held."""
        claim = super().__new__(cls, (id, body))
        claim.owner, claim.attempt = owner, attempt
        claim.move, claim.lease_ends = move, lease_ends
        return claim

    def __getnewargs_ex__(self) -> tuple[tuple[str, Json], dict[str, Any]]:
        """So that a claim can be sent to another process."""
        return (self.id, self.body), dict(vars(self))

    @property
    def id(self) -> str:
        """The task's id."""
        return self[0]

    @property
    def body(self) -> Json:
        """The task's body."""
        return self[1]


@dataclass(frozen=True, slots=True)
class Success:
    """An outcome to settle: the task is done."""

    task: str | Claim
    result: Json = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """An outcome to settle: the attempt has failed."""

    task: str | Claim
    reason: str = ""
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """What somebody says who wants to move a task that is processed."""

    id: str
    owner: str | None
    move: int | None
    """As in `Claim.move`; None from who has only the id."""


@dataclass(frozen=True, slots=True)
class Settling:
    """One outcome at the door of a store, admitted."""

    hold: Hold
    succeeded: bool
    result: str | None = None
    """JSON text."""
    reason: str = ""

    @property
    def move(self) -> Move:
        """The move that is asked for; a failure with attempts left becomes RETRY."""
        return Move.SUCCEED if self.succeeded else Move.FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Everything that a store knows of a task."""

    id: str
    stage: Stage
    body: Json
    priority: int
    attempts: int
    """How often it was claimed since it was put or requeued, what was handed back not counted."""
    max_attempts: int | None
    backoff_s: float
    moves: int
    owner: str | None
    lease_ends: datetime | None
    due: datetime
    """From when on it may be claimed."""
    put_at: datetime
    claimed_at: datetime | None
    settled_at: datetime | None
    result: Json
    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """One move of one task: with its id and number, the same move is never told twice."""

    id: str
    number: int
    move: Move
    stage_from: Stage | None
    stage_to: Stage | None
    at: datetime
    owner: str | None = None
    text: str | None = field(default=None, repr=False)
    """The body as JSON text, with PUT."""


class Page(list[str]):
    """Ids, and where the next ones begin: None after the last."""

    def __init__(self, ids: Sequence[str] = (), next: str | None = None) -> None:
        super().__init__(ids)
        self.next = next


# --- The door ---------------------------------------------------------------------------------


def admitted_id(id_: object) -> str:
    """The id, if it can be one.

    Raises:
        BadTask: it is no text of 1 to 512 characters (all are allowed that UTF-8 can write).
    """
    if not isinstance(id_, str):
        raise BadTask(
            f"A task's id must be text, not {id_!r:.80} ({type(id_).__name__}).",
            remedy="Give it as a string.",
        )
    if not 1 <= len(id_) <= LONGEST_ID:
        raise BadTask(
            f"A task's id must have 1 to {LONGEST_ID} characters, not {len(id_)}"
            f"{f': {id_[:20]!r}…' if id_ else ''}.",
            remedy="Shorten it; a digest of it will do." if id_ else "Give each task a name.",
        )
    try:
        id_.encode()
    except UnicodeEncodeError:
        raise BadTask(
            f"The id {id_!r:.80} has half of a character in it (a lone surrogate).",
            remedy="Decode the text rightly where it comes from.",
        ) from None
    return str(id_)


def admitted_json(value: object, what: str) -> str:
    """The value as JSON text in ASCII.

    Args:
        what: names it in the sentence, such as `The body of 'a'`.

    Raises:
        BadTask: it is no JSON: NaN, bytes, a cycle, keys that are no text.
    """
    remedy = "A body is made of dict (with str keys), list, str, int, float, bool and None."
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=_no_json)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadTask(f"{what} is not JSON: {error}.", remedy=remedy) from None
    # After json.dumps, for that has found the cycles.
    if (key := _key_that_is_no_text(value)) is not None:
        raise BadTask(
            f"{what} is not JSON: the key {key[0]!r:.80} is no text.", remedy=remedy
        ) from None
    return text


def _no_json(value: object) -> object:
    raise TypeError(f"{value!r:.80} ({type(value).__name__}) can't be written in it")


def _key_that_is_no_text(value: object) -> tuple[object] | None:
    """The first such key, in a tuple, for None may be one."""
    to_see = [value]
    while to_see:
        value = to_see.pop()
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if not isinstance(key, str):
                    return (key,)
                to_see.append(inner)
        elif isinstance(value, list | tuple):
            to_see.extend(value)
    return None


def admitted_number(value: object, name: str, least: float, most: float = math.inf) -> float:
    """The number, if it is one in these bounds.

    Raises:
        BadTask: it is not.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (math.isfinite(value) and least <= value <= most)
    ):
        bounds = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
        raise BadTask(
            f"{name} must be a number, {bounds} (not {value!r:.80}).", remedy="Change it."
        )
    return value


def admitted_count(value: object, name: str, least: int, most: float = math.inf) -> int:
    """The whole number, if it is one in these bounds.

    Raises:
        BadTask: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        bounds = f"{least} or more" if most == math.inf else f"{least} to {most:g}"
        raise BadTask(
            f"{name} must be a whole number, {bounds} (not {value!r:.80}).", remedy="Change it."
        )
    return int(value)


def admitted_stage(value: object) -> Stage:
    """The stage, if it is one.

    Raises:
        BadTask: it is not.
    """
    try:
        return Stage(value)  # type: ignore[arg-type]  # it may be anything, and is refused
    except ValueError:
        names = ", ".join(stage.name for stage in Stage)
        raise BadTask(f"{value!r:.80} is no stage.", remedy=f"There are {names}.") from None


def pause_s(backoff_s: float, attempts: int) -> float:
    """The pause after a failed attempt, which doubles from one to the next."""
    return min(backoff_s * 2.0 ** min(attempts - 1, 60), LONGEST_PAUSE_S)


# --- Who may move what ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """How a task stands, as far as it decides who may move it."""

    stage: Stage
    owner: str | None
    moves: int
    lease_ends: datetime | None


def refusal(hold: Hold, standing: Standing | None, move: Move, now: datetime) -> TaskError | None:
    """Why whoever says this may not make the move; None if they may.

    The one rule of all stores. A task that was claimed by nobody by name (as the known interface
    does) may be settled by anybody; one with an owner by that owner alone, within the lease.
    """
    name = f"The task {hold.id!r:.80}"
    if standing is None:
        return UnknownTask(f"No task has the id {hold.id!r:.80}.", remedy="Look for a slip in it.")
    if standing.stage not in MOVES[move].sources:
        if standing.stage is Stage.WAITING and hold.move is not None:
            return ClaimLost(
                f"{name} is yours no longer: its lease ran out, and it waits again.",
                remedy="Extend the lease while you work, or ask for a longer one.",
            )
        return WrongStage(
            f"{name} can't {move}: it is {standing.stage.name}.",
            remedy="Only what is "
            + " or ".join(stage.name for stage in sorted(s for s in MOVES[move].sources if s))
            + " can.",
        )
    if standing.stage is not Stage.PROCESSING:
        return None
    if standing.owner not in (None, hold.owner) or hold.move not in (None, standing.moves):
        return ClaimLost(
            f"{name} is not yours: {standing.owner or 'somebody'} has claimed it.",
            remedy="Let it be: whoever holds it settles it. Yours was an earlier claim, "
            "or give the owner that claimed it.",
        )
    if standing.lease_ends is not None and standing.lease_ends <= now:
        return ClaimLost(
            f"{name} is yours no longer: its lease ran out at "
            f"{standing.lease_ends:%H:%M:%S.%f} UTC.",
            remedy="Extend the lease while you work, or ask for a longer one.",
        )
    return None
