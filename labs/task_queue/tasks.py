"""The values that go through a task queue, and the door at which they are admitted.

A body is JSON and stays text in the store, so that what comes out is what went in, the same from
every store, and nobody's own object. Ids and bodies are checked here before anything is stored.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from labs.task_queue.errors import BadTask, ClaimLost, TaskError, UnknownTask, WrongStage
from labs.task_queue.stages import MOVES, Move, Stage

Json = Any
"""None, bool, int, float, str, list or dict with str keys, nested."""

T = TypeVar("T")

LONGEST_ID = 512
"""Characters."""
LONGEST_DELAY_S = 10 * 365 * 24 * 3600.0
LONGEST_PAUSE_S = 3600.0
"""To which the pause between attempts doubles."""
LONGEST_REASON = 10_000
"""Characters; a longer one is cut, for a reason must never keep a task from failing."""
DEEPEST = 200
"""Levels of lists and dicts in a body: what is deeper, some reader on the way can't read."""
MOST = 2**53
"""Tasks that anybody has: who asks for more, asks for all."""
PRIORITIES = range(-32_768, 32_768)
GAVE_UP = "Its lease ran out in its last attempt."
"""The reason of a task that a GIVE_UP has failed."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task at the door of a store, admitted: its body is JSON text in ASCII."""

    id: str
    text: str
    priority: int = 0
    delay_s: float = 0.0
    max_attempts: int | None = None
    backoff_s: float = 1.0


class Put(int):
    """What a put did: the number of tasks that are new, and which those are."""

    added: Sequence[str]
    """The ids that are new."""
    present: Sequence[str]
    """The ids that were there already, in whatever stage; they are as they were."""

    def __new__(cls, added: Sequence[str] = (), present: Sequence[str] = ()) -> Put:
        """Make the number, and remember the ids."""
        put = super().__new__(cls, len(added))
        put.added, put.present = tuple(added), tuple(present)
        return put

    def __getnewargs__(self) -> tuple[Sequence[str], Sequence[str]]:  # type: ignore[override]
        """So that it can be sent to another process."""
        return self.added, self.present

    def __repr__(self) -> str:
        """Both lists, for a person."""
        return f"Put(added={list(self.added)!r}, present={list(self.present)!r})"


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
    """Who holds it, or has held it last."""
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
    """One move of one task. Its id, number and time name it for ever.

    An id that was purged and is put anew begins at number 1 again.
    """

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


def admitted_id(id_: object, what: str = "A task's id") -> str:
    """The id, if it can be one.

    Args:
        what: names it in the sentence.

    Raises:
        BadTask: it is no text of 1 to 512 characters (all are allowed that UTF-8 can write).
    """
    if not isinstance(id_, str):
        raise BadTask(
            f"{what} must be text, not {id_!r:.80} ({type(id_).__name__}).",
            remedy="Give it as a string.",
        )
    if not 1 <= len(id_) <= LONGEST_ID:
        raise BadTask(
            f"{what} must have 1 to {LONGEST_ID} characters, not {len(id_)}"
            f"{f': {id_[:20]!r}…' if id_ else ''}.",
            remedy="Shorten it; a digest of it will do." if id_ else "Give it a name.",
        )
    try:
        id_.encode()
    except UnicodeEncodeError:
        raise BadTask(
            f"{what} can't have half of a character in it (a lone surrogate): {id_!r:.80}.",
            remedy="Decode the text rightly where it comes from.",
        ) from None
    return str(id_)


def admitted_name(name: object, what: str) -> str:
    """As `admitted_id`, with no NUL in it: of an owner, an event.

    Raises:
        BadTask: it is no such text.
    """
    admitted = admitted_id(name, what)
    if "\0" in admitted:
        raise BadTask(f"{what} can't have a NUL in it: {name!r:.80}.", remedy="Rename it.")
    return admitted


def admitted_json(value: object, what: str, *, deepest: int = DEEPEST) -> str:
    """The value as JSON text in ASCII.

    Args:
        what: names it in the sentence, such as `The body of 'a'`.
        deepest: so many levels of dicts and lists.

    Raises:
        BadTask: it is no JSON: NaN, bytes, a cycle, keys that are no text; or too deep.
    """
    remedy = "A body is made of dict (with str keys), list, str, int, float, bool and None."
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=_no_json)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadTask(f"{what} is not JSON: {error}.", remedy=remedy) from None
    # After json.dumps, for that has found the cycles.
    if why := _unlike_json(value, deepest):
        raise BadTask(f"{what} is not JSON: {why}.", remedy=remedy)
    return text


def _no_json(value: object) -> object:
    raise TypeError(f"{value!r:.80} ({type(value).__name__}) can't be written in it")


def _unlike_json(value: object, deepest: int) -> str:
    """What json.dumps lets through: keys that it turns into text, and any depth."""
    to_see = [(value, 1)]
    while to_see:
        value, depth = to_see.pop()
        if depth > deepest and isinstance(value, dict | list | tuple):
            return f"it is nested more than {deepest} levels deep"
        if isinstance(value, dict):
            for key, inner in value.items():
                if not isinstance(key, str):
                    return f"the key {key!r:.80} is no text"
                if isinstance(inner, dict | list | tuple):
                    to_see.append((inner, depth + 1))
        elif isinstance(value, list | tuple):
            to_see += [(one, depth + 1) for one in value if isinstance(one, dict | list | tuple)]
    return ""


def admitted_reason(reason: object) -> str:
    """The reason as text that every store can keep: never refused, cut and escaped instead."""
    text = str(reason)[:LONGEST_REASON].replace("\0", "\\x00")
    return text.encode(errors="backslashreplace").decode()


def admitted_number(value: object, name: str, least: float, most: float = math.inf) -> float:
    """The number, if it is one in these bounds.

    Raises:
        BadTask: it is not.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not least <= value <= min(most, sys.float_info.max)
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


def admitted_many(values: Iterable[T], what: str) -> list[T]:
    """Them all, if there can be many of them.

    Args:
        what: names them in the sentence.

    Raises:
        BadTask: it is nothing that has members.
    """
    try:
        return list(values)
    except TypeError:
        raise BadTask(
            f"{what} must be a list, not {values!r:.80} ({type(values).__name__}).",
            remedy="Give a list of them.",
        ) from None


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


def after_failure(attempts: int, max_attempts: int | None) -> Move:
    """What a failed attempt means: RETRY while attempts are left, else FAIL."""
    return Move.RETRY if max_attempts is not None and attempts < max_attempts else Move.FAIL


def after_lease(attempts: int, max_attempts: int | None) -> Move:
    """What it means that a lease has run out: EXPIRE while attempts are left, else GIVE_UP."""
    return Move.EXPIRE if max_attempts is None or attempts < max_attempts else Move.GIVE_UP


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


def refusal(
    hold: Hold, standing: Standing | None, move: Move | None, now: datetime
) -> TaskError | None:
    """Why whoever says this may not make the move; None if they may.

    The one rule of all stores, asked after leases that have run out have counted. A task that
    was claimed by nobody by name (as the known interface does) may be settled by anybody; one
    with an owner by that owner alone, within the lease.

    Args:
        move: None is to extend the lease, which is no move.
    """
    name = f"The task {hold.id!r:.80}"
    if standing is None:
        return UnknownTask(f"No task has the id {hold.id!r:.80}.", remedy="Look for a slip in it.")
    sources = {Stage.PROCESSING} if move is None else MOVES[move].sources
    if standing.stage not in sources:
        if _was_held(hold, standing):
            return ClaimLost(
                f"{name} is yours no longer: its lease ran out, or it was handed back.",
                remedy="Extend the lease while you work, or ask for a longer one.",
            )
        return WrongStage(
            f"{name} can't {move or 'be extended'}: it is {standing.stage.name}.",
            remedy=f"Only what is {' or '.join(stage.name for stage in Stage if stage in sources)}"
            " can.",
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


def _was_held(hold: Hold, standing: Standing) -> bool:
    """Whether a task that is processed no more was in this hand, and slipped out of it."""
    if standing.stage is Stage.WAITING:
        return hold.move is not None or (
            standing.owner is not None and standing.owner == hold.owner
        )
    # Settled: by the next move after the claim it was this hand's own doing, or its last attempt.
    return hold.move is not None and standing.moves > hold.move + 1
