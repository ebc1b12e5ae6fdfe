"""Signs of beliefs about requests whose answers get lost: 26, and 68 to 80.

Told from the names under which an order was sent, time and again, from what the program had
heard of it by then, and from what it did next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from labs.judge.history import History
from labs.judge.orders import REFUSED, STARTED, TRIED, Order, Orders, Request
from labs.judge.rules import starting
from labs.judge.verdicts import Outcome

# --- Under which name -------------------------------------------------------------------------


def _renamed(orders: Orders) -> Iterator[tuple[Order, Request, Request]]:
    """Tries of one order, one after the other, that differ in their names."""
    for order in orders.all:
        for first, second in pairwise(order.tries):
            if first.name != second.name:
                yield order, first, second


def sent_another_thing_under_its_key(history: History) -> bool:
    """An order was sent again with its old key, and another body."""
    return any(
        first.key is not None and first.key == second.key and first.body_sum != second.body_sum
        for order in Orders.of(history).all
        for first, second in pairwise(order.tries)
    )


def looked_first(history: History) -> bool:
    """Between two tries under different names it had asked whether the order was there."""
    orders = Orders.of(history)
    looks = [r for r in orders.requests if r.method != TRIED]
    return any(
        first.process is second.process
        and any(first.event.n < look.event.n < second.event.n for look in looks)
        for _, first, second in _renamed(orders)
    )


def renamed_at_each_try(history: History) -> bool:
    """An order was sent again by the same process, with another name."""
    return any(first.process is second.process for _, first, second in _renamed(Orders.of(history)))


def renamed_after_its_restart(history: History) -> bool:
    """An order got another name by another process; or a name was another order's before."""
    orders = Orders.of(history)
    if any(first.process is not second.process for _, first, second in _renamed(orders)):
        return True
    every = ((order, request) for order in orders.all for request in order.tries)
    return bool(starting.shared_names(every)) and not any(_shared_at_once(orders))


def named_all_alike(history: History) -> bool:
    """One process sent several orders under one name, whatever they were."""
    orders = Orders.of(history)
    return any(not orders.are_alike(shared) for shared in _shared_at_once(orders))


def named_by_what_it_says(history: History) -> bool:
    """Only orders that are alike were sent under one name."""
    orders = Orders.of(history)
    shared = list(_shared_at_once(orders))
    return bool(shared) and all(map(orders.are_alike, shared))


def _shared_at_once(orders: Orders) -> Iterator[Sequence[Order]]:
    """Orders to which one process gave the same name."""
    for process in orders.history.processes:
        mine = ((o, one) for o in orders.all for one in o.tries if one.process is process)
        yield from starting.shared_names(mine).values()


# --- What it made of an answer, or of none ----------------------------------------------------


def trusted_the_send(history: History) -> bool:
    """It said `started` though it had heard nothing at all."""
    return any(status is None for status in _said_too_soon(Orders.of(history)))


def took_any_answer_for_yes(history: History) -> bool:
    """It said `started`, and what it had heard was no yes."""
    return any(status is not None for status in _said_too_soon(Orders.of(history)))


def _said_too_soon(orders: Orders) -> Iterator[int | None]:
    """The last status that was heard of an order when it was said to be started; None: none."""
    for order in orders.all:
        for said in order.says(STARTED):
            if not starting.said_yes_by(order, said.event.n):
                tries = [r for r in order.tries if r.event.n < said.event.n]
                last = tries[-1] if tries else None
                by_then = last and last.heard and last.heard.n < said.event.n
                yield last.status if last and by_then else None


def took_there_already_for_a_failure(history: History) -> bool:
    """The service said that it had the order, and the program tried again or gave up."""
    for order in Orders.of(history).good:
        known = [r for r in order.tries if r.said_yes and r.heard and not r.heard.data["created"]]
        later = [r for r in order.tries if known and r.event.n > known[0].event.n]
        same = [r for r in later if r.process is known[0].process]
        if known and (same or order.says(REFUSED)):
            return True
    return False


def tried_what_was_refused(history: History) -> bool:
    """The service refused an order, and it was tried time and again."""
    return any(
        sum(request.said_no for request in order.tries) > starting.MOST_TRIES
        for order in Orders.of(history).all
    )


def came_too_soon(history: History) -> bool:
    """It tried again before the time that it was told."""
    finding = starting.waits_as_told(history)
    return finding is not None and finding.outcome is Outcome.BROKEN


def waited_for_ever(history: History) -> bool:
    """It was still waiting for an answer that never came when all was over."""
    process = history.processes[-1] if history.processes else None
    ended = process is not None and process.ended_by_itself
    return not ended and bool(starting.unanswered_at_the_end(Orders.of(history)))


def noted_it_first(history: History) -> bool:
    """It was killed while it waited, and what it had waited for it did not send again."""
    kills = [event for event in history.struck("kill") if event.data.get("orders")]
    return any(
        not order.left and order.tries and all(r.event.n < kill.n for r in order.tries)
        for kill in kills
        for order in Orders.of(history).good
        if order.name in kill.data["orders"]
    )


def gave_up(history: History) -> bool:
    """The last try of a good order had no answer, or `come again`; it was not tried again."""
    return any(
        order.tries and not order.says(STARTED) and not _settles(order.tries[-1])
        for order in Orders.of(history).good
    )


def _settles(request: Request) -> bool:
    return request.said_yes or request.said_no
