"""A client of the task queue's REST API that is itself a task queue.

    queue = ApiClient("localhost:8080")          # or a full URL; token=… if one is asked for

The door is the same: what is refused here never travels, and what a server refuses comes back
as the same exception. The rule of asking again, with a growing pause: a request that reached no
server, always; one whose fate is open (no answer, or 503), if twice is as good as once. That is
so for all that looks, for `put`, whose ids are then skipped, for `extend`, and for what settles
or hands back a claim by its `move`. It is not so for `get` (with a lease, what an answer took
along comes back), `requeue`, `refuse`, `purge`, or settling by a bare id.

Known clients catch `requests.RequestException`. Here it is `StoreUnreachable` for a server or
store that does not answer, `UnknownTask`, a KeyError, for an id, `BadTask` for a value.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from labs.errors import LabError, WaitedTooLong
from labs.task_queue.api_shapes import KINDS, MAX_ITEMS, MAX_WAIT_S, claim_of, task_of
from labs.task_queue.client_link import PAUSES_S, Call, Dialect, Link, Reply, full_url
from labs.task_queue.errors import BadTask, StoreUnreachable, TaskError
from labs.task_queue.queue import ALREADY, LOOK_S, NOT_FAILED, TaskQueue
from labs.task_queue.stages import Stage
from labs.task_queue.tasks import (
    Claim,
    Hold,
    Json,
    NewTask,
    Page,
    Put,
    Settling,
    Task,
    admitted_count,
    admitted_number,
)
from labs.waiting import wait_until

LARGEST = 4 * 1024 * 1024
"""Bytes of bodies or results in one request; what has more goes in several."""
REFUSED = (404, 409)
"""None of the tasks could be moved: the answer says why, of each."""

T = TypeVar("T")


def _refusal(status: int, said: Mapping[str, Any], _: float) -> LabError | None:
    """What the server's answer means, as an error."""
    kind, detail, remedy = said["kind"], said["detail"], str(said["remedy"])
    if isinstance(detail, list):
        detail = "; ".join(_in_words(one) for one in detail)
    if known := KINDS.get(kind):
        return known(detail, remedy=remedy)
    if kind in ("BadRequest", "TooLarge"):
        return BadTask(detail, remedy=remedy)
    if kind in ("NoSuchPath", "NoSuchMethod"):
        return None
    return StoreUnreachable(f"{detail} ({status})", remedy=remedy)


def _in_words(wrong: Mapping[str, Any]) -> str:
    """What FastAPI says of one thing that is wrong with a request."""
    where = ".".join(str(part) for part in wrong.get("loc", ()))
    return f"{where}: {wrong.get('msg', 'not right')}"


DIALECT = Dialect("task queue", "ApiClient", "labs task-queue server", _refusal)


class ApiClient(TaskQueue):
    """A task queue on a server. May be shared by threads, and used after a fork."""

    tells_moves = False
    """The server makes the moves: with events, it is there that they are recorded."""

    def __init__(
        self,
        api_base_url: str,
        timeout: float = 5.0,
        *,
        token: str | None = None,
        retries: int = len(PAUSES_S),
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        """Connects to nothing yet.

        Args:
            api_base_url: `host:port` or a URL; a path in it comes before `/api/v1/queue/`.
            timeout: seconds for each try; what waits on purpose (`wait_s`) comes on top.
            token: of a server that asks for one.
            retries: how often a request is sent again, where that is safe; up to 3.
            verify: an ssl context of your own, for HTTPS.

        Raises:
            BadInput: the address can't be meant, or the token not be sent.
            BadTask: a number can't be meant.
        """
        super().__init__()
        timeout_s = admitted_number(timeout, "timeout", 0.001)
        retries = admitted_count(retries, "retries", 0, len(PAUSES_S))
        self.api_base_url = full_url(api_base_url, DIALECT) + "/api/v1/queue/"
        self.timeout = timeout_s
        self._link = Link(
            self.api_base_url,
            DIALECT,
            authorization=None if token is None else f"Bearer {token}",
            timeout_s=timeout_s,
            retries=retries,
            verify=verify,
        )

    def __repr__(self) -> str:
        """Where; never the token."""
        return f"ApiClient({self.api_base_url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._link.close()

    def description(self) -> dict[str, Json]:
        """As the server describes its queue: `implementation` and `arguments`."""
        described: dict[str, Json] = self._look("describe", reads=_described).value
        return described

    def check(self) -> None:
        """Return if the server's store answers.

        Raises:
            StoreUnreachable: it does not, or nobody is there.
        """
        self._look("health", reads=lambda _, said: said["status"])

    # --- The verbs ----------------------------------------------------------------------------

    def _put(self, tasks: Sequence[NewTask]) -> Put:
        added: list[str] = []
        present: list[str] = []
        for some in _by(tasks, lambda task: len(task.text), _options):
            first = some[0]
            query: dict[str, str | int | float] = {
                "priority": first.priority,
                "delay_s": first.delay_s,
                "backoff_s": first.backoff_s,
            }
            if first.max_attempts is not None:
                query["max_attempts"] = first.max_attempts
            body = ",".join(f"{json.dumps(task.id)}:{task.text}" for task in some)
            body = f"{{{body}}}"
            reply = self._ask("POST", "put", again=True, query=query, body=body, reads=_skipped)
            skipped = reply.value
            for task in some:
                (present if ALREADY.format(task.id) in skipped else added).append(task.id)
        return Put(added, present)

    def _get(self, n: int, lease_s: float | None, owner: str | None) -> list[Claim]:
        return self._claim(n, lease_s, owner, 0.0)

    def _claim(
        self, n: int, lease_s: float | None, owner: str | None, wait_s: float
    ) -> list[Claim]:
        """The server waits, so that a task is claimed as soon as it is there."""
        deadline = time.monotonic() + wait_s
        claims: list[Claim] = []
        while True:
            wanted = min(n - len(claims), MAX_ITEMS)
            left_s = 0.0 if claims else max(deadline - time.monotonic(), 0.0)
            now_s = min(left_s, MAX_WAIT_S)
            asked = {"n_items": wanted, "lease_s": lease_s, "owner": owner, "wait_s": now_s}
            body = _json(asked)
            try:
                reply = self._ask(
                    "POST", "claim", again=False, body=body, wait_s=now_s, reads=_claims
                )
            except LabError:
                if claims:  # what has been claimed must reach whoever asked for it
                    return claims
                raise
            claims += reply.value
            if len(reply.value) < wanted and (claims or left_s <= now_s):
                return claims
            if len(claims) >= n:
                return claims

    def _peek(self, n: int) -> list[tuple[str, Json]]:
        pairs: list[tuple[str, Json]] = self._look(f"peek/{n}", reads=_pairs).value
        return pairs

    def _settle(self, settlings: Sequence[Settling]) -> dict[str, TaskError]:
        def body(some: Sequence[Settling]) -> Json:
            return {
                "outcomes": {
                    one.hold.id: {
                        **_held(one.hold),
                        "succeeded": one.succeeded,
                        "result": None if one.result is None else json.loads(one.result),
                        "reason": one.reason,
                    }
                    for one in some
                }
            }

        def done(one: Settling, task: Task) -> bool:
            if one.succeeded:
                return task.stage is Stage.SUCCESS
            return task.stage in (Stage.FAIL, Stage.WAITING) and task.reason == one.reason

        def weigh(one: Settling) -> int:
            return len(one.result or one.reason)

        return self._moved("settle", settlings, lambda one: one.hold, body, done, weigh)

    def _extend(self, holds: Sequence[Hold], lease_s: float) -> dict[str, TaskError]:
        refused: dict[str, TaskError] = {}
        for some in _by(holds):
            body = _json({"tasks": {one.id: _held(one) for one in some}, "lease_s": lease_s})
            reply = self._ask(
                "POST", "extend", again=True, body=body, expected=REFUSED, reads=_refused
            )
            refused |= reply.value
        return refused

    def _release(self, holds: Sequence[Hold], delay_s: float) -> dict[str, TaskError]:
        def body(some: Sequence[Hold]) -> Json:
            return {"tasks": {one.id: _held(one) for one in some}, "delay_s": delay_s}

        def done(_: Hold, task: Task) -> bool:
            return task.stage is Stage.WAITING

        return self._moved("release", holds, lambda one: one, body, done)

    def _refuse(self, hold: Hold, reason: str) -> dict[str, TaskError]:
        body = _json({"id": hold.id, "reason": reason})
        reply = self._ask(
            "POST", "refuse", again=False, body=body, expected=REFUSED, reads=_refusal_of_one
        )
        return {} if reply.value is None else {hold.id: reply.value}

    def _requeue(self, ids: Sequence[str]) -> list[str]:
        moved: list[str] = []
        for some in _by(ids):
            body = _json(list(some))
            reply = self._ask("POST", "requeue", again=False, body=body, reads=_skipped)
            moved += [id_ for id_ in some if NOT_FAILED.format(id_) not in reply.value]
        return moved

    def _purge(self, older_than: timedelta) -> int:
        query = {"older_than_s": older_than.total_seconds()}
        reply = self._ask("DELETE", "settled", again=False, query=query, reads=_purged)
        return int(reply.value)

    # --- Looking ------------------------------------------------------------------------------

    def _sizes(self) -> dict[Stage, int]:
        sizes: dict[Stage, int] = self._look("sizes", reads=_sizes).value
        return sizes

    def _find(self, id_: str) -> Task | None:
        query = {"id": id_}
        found: Task | None = self._look(
            "lookup_task", query=query, expected=(404,), reads=_found
        ).value
        return found

    def _page(self, stage: Stage, limit: int | None, after: str | None) -> Page:
        path = f"lookup_state/{stage.name}"
        query: dict[str, str | int] = {} if after is None else {"after": after}
        if limit is None:
            return Page(self._look(path, query=query, reads=_texts).value)
        ids: list[str] = []
        while True:
            query["limit"] = min(limit - len(ids), MAX_ITEMS)
            reply = self._look(path, query=query, reads=_texts)
            ids += reply.value
            if reply.next is None or len(ids) >= limit:
                return Page(ids, reply.next)
            query["after"] = reply.next

    def _wait(self, timeout_s: float) -> None:
        with suppress(WaitedTooLong):
            wait_until(
                lambda: self._peek(1), timeout_s, what="a task", interval_s=min(LOOK_S, timeout_s)
            )

    # --- Helpers ------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, *, again: bool, **more: Any) -> Reply:
        return self._link.ask(Call(method, path, again, **more))

    def _look(self, path: str, **more: Any) -> Reply:
        return self._ask("GET", path, again=True, **more)

    def _moved(
        self,
        path: str,
        wanted: Sequence[T],
        hold_of: Callable[[T], Hold],
        body: Callable[[Sequence[T]], Json],
        done: Callable[[T, Task], bool],
        weigh: Callable[[T], int] = lambda _: 0,
    ) -> dict[str, TaskError]:
        """Move tasks; if a try had no answer, tell what it did from what is refused.

        A claim has a number, its `move`; the task's next move is made by who holds that claim,
        or by its lease. So a task that stands where it was to go, by that very move, is moved.
        """
        refused: dict[str, TaskError] = {}
        for some in _by(wanted, weigh):
            fenced = all(hold_of(one).move is not None for one in some)
            text = _json(body(some))
            reply = self._ask(
                "POST", path, again=fenced, body=text, expected=REFUSED, reads=_refused
            )
            refusals = reply.value
            for one in some if reply.repeated and refusals else ():
                hold = hold_of(one)
                if hold.id in refusals and hold.move is not None:
                    task = self._find(hold.id)
                    if task and task.moves == hold.move + 1 and done(one, task):
                        del refusals[hold.id]
            refused |= refusals
        return refused


def _options(task: NewTask) -> object:
    return task.priority, task.delay_s, task.max_attempts, task.backoff_s


def _json(value: Json) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _held(hold: Hold) -> dict[str, Json]:
    return {"owner": hold.owner, "move": hold.move}


# --- What answers mean ------------------------------------------------------------------------
# What is not as it must be raises KeyError, TypeError or ValueError: another service answers.


def _listed(said: Json) -> list[Json]:
    if not isinstance(said, list):
        raise TypeError("it is no list")
    return said


def _texts(_: int, said: Json) -> list[str]:
    if not all(isinstance(one, str) for one in _listed(said)):
        raise TypeError("it is no list of texts")
    return _listed(said)


def _skipped(status: int, said: Json) -> set[str]:
    """The known sentences: each names one id, so they are as good as the ids."""
    return set() if said is None else set(_texts(status, said["detail"]))


def _claims(_: int, said: Json) -> list[Claim]:
    return [claim_of(one) for one in _listed(said)]


def _pairs(_: int, said: Json) -> list[tuple[str, Json]]:
    return [(id_, body) for id_, body in map(_listed, _listed(said))]


def _sizes(_: int, said: Json) -> dict[Stage, int]:
    return {stage: int(said[stage.name]) for stage in Stage}


def _found(status: int, said: Json) -> Task | None:
    if status in REFUSED:
        _task_error(said)
        return None
    return task_of(said)


def _described(_: int, said: Json) -> dict[str, Json]:
    return {"implementation": said["implementation"], **said}


def _purged(_: int, said: Json) -> int:
    return int(said["purged"])


def _task_error(said: Mapping[str, Any]) -> TaskError:
    kind = KINDS.get(said["kind"], TaskError)
    error = kind(said["detail"], remedy=said["remedy"])
    if not isinstance(error, TaskError):
        raise error
    return error


def _refused(_: int, said: Json) -> dict[str, TaskError]:
    return {id_: _task_error(one) for id_, one in said["refused"].items()}


def _refusal_of_one(status: int, said: Json) -> TaskError | None:
    if status in REFUSED:
        return _task_error(said)
    if said is not None:
        raise ValueError("nothing is to be said")
    return None


def _by(
    of: Sequence[T],
    weigh: Callable[[T], int] = lambda _: 0,
    alike: Callable[[T], object] = lambda _: None,
) -> Iterator[Sequence[T]]:
    """As many as go into one request, all of them alike."""
    some: list[T] = []
    weight = 0
    for one in of:
        full = len(some) == MAX_ITEMS or weight + weigh(one) > LARGEST
        if some and (full or alike(some[0]) != alike(one)):
            yield some
            some, weight = [], 0
        some.append(one)
        weight += weigh(one)
    if some:
        yield some
