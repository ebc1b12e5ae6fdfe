"""Whether orders are started at a queue service as promised: each once, whatever gets lost.

What is in the service in the end counts (`left`), not what was sent. What the program can know
are the answers that it was given; order is that of the journal, where an answer stands before
whatever was printed after it. How requests and orders belong together `labs.judge.orders` says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from labs.judge.evidence import last_line, program_life, quoted
from labs.judge.history import History
from labs.judge.orders import REFUSED, STARTED, Order, Orders, Request
from labs.judge.rules.finding import KEPT, Finding, broken, some, unknown
from labs.judge.rules.order_life import order_life

NOTHING_SENT = "no order was sent"
PATH = "/v1/queue/message"
MOST_TRIES = 3
"""So often what the service refuses may be tried."""
EARLY_S = 0.05
"""So much sooner than it was told a program may come: clocks are not that exact."""


# --- The contract -----------------------------------------------------------------------------


def sends(history: History) -> Finding | None:
    """It sent something to the service at QUEUE_SERVICE_URL, and said which order it was."""
    for note in history.noted("never-connected"):
        who = str(note.copy or note.data.get("copy"))
        seen = f"{who} never sent a request to the service at QUEUE_SERVICE_URL."
        for process in history.processes:
            if process.ended_by_itself and process.exited:
                seen = f"{seen[:-1]}, and ended with status {process.exited.data.get('status')}."
        return broken(seen, program_life(history, who, ending=f"{who} had sent nothing"))
    orders = Orders.of(history)
    posts = [request for request in orders.requests if request.method == "POST"]
    paths = [str(request.event.data.get("path")) for request in posts]
    if paths and not any(path.partition("?")[0].rstrip("/") == PATH for path in paths):
        seen = f"It sent its orders to {paths[0]}; they belong to {PATH}."
        return broken(seen, program_life(history, posts[0].event.copy))
    if posts and not any(order.tries for order in orders.all):
        path = posts[0].event.data.get("path")
        seen = f"What it sent to {path} named none of the orders: the member `order` of each line "
        seen += "has to be in the body, as it is."
        return broken(seen, program_life(history, posts[0].event.copy))
    return KEPT


# --- What is promised -------------------------------------------------------------------------


def every_order_started(history: History) -> Finding:
    """Every good order is in the service in the end, and was said to be started."""
    orders = Orders.of(history)
    if not orders.good:
        return unknown("there were no orders")
    missing = [order for order in orders.good if not order.left]
    if missing:
        missing.sort(key=lambda order: (not order.says(STARTED), not order.tries))
        shown, more = missing[0], []
        seen = f"{_orders(shown, missing)} never started."
        if shown.says(STARTED):
            seen += " It was said to be."
        elif not shown.tries and (last := _last_sent(orders)):
            seen += f" It was not even sent; the last that was is {last.name}."
            more = [last]
        ending = f"the run ended: the service does not have {shown.name}"
        return broken(seen, order_life(orders, shown, *more, ending=ending))
    unsaid = [order for order in orders.good if not order.says(STARTED)]
    if not unsaid:
        return KEPT
    seen = f"{_orders(unsaid[0], unsaid)} never said to be started, though the service has it."
    if not any(order.said for order in orders.all):
        seen += _what_it_printed(history)
    return broken(seen, order_life(orders, unsaid[0]))


def none_started_twice(history: History) -> Finding:
    """No order is in the service more than once."""
    orders = Orders.of(history)
    if not any(order.left for order in orders.all):
        return unknown("the service has none of the orders")
    twice = [order for order in orders.all if len(order.left) > 1]
    if not twice:
        return KEPT
    shown = twice[0]
    others = f", and so were {len(twice) - 1} others" if len(twice) > 2 else ""
    seen = f"{shown.name} was started {len(shown.left)} times{others}: the service has it under "
    seen += f"{len(shown.left)} build ids."
    return broken(seen, order_life(orders, shown))


def one_name_each(history: History) -> Finding:
    """Every try of an order has the same name, and no other order has it."""
    orders = Orders.of(history)
    tried = [order for order in orders.all if order.tries]
    if not tried:
        return unknown(NOTHING_SENT)
    for order in tried:
        if len({request.name for request in order.tries}) > 1:
            what = names_differ(order.tries)
            again = " after its restart" if restarted_between(order.tries) else ""
            seen = f"{order.name} was sent again{again} with another {what}, so that the service "
            seen += "could not know it again."
            return broken(seen, order_life(orders, order))
    for what, shared in shared_names((o, one) for o in tried for one in o.tries).items():
        seen = f"{shared[0].name} and {shared[1].name} are two orders, and had the same {what}."
        return broken(seen, order_life(orders, *shared[:2]))
    return KEPT


def names_differ(tries: Sequence[Request]) -> str:
    """In what the names of tries differ."""
    return "build id" if len({request.build for request in tries}) > 1 else "Idempotency-Key"


def restarted_between(tries: Sequence[Request]) -> bool:
    """Whether only tries of different processes differ."""
    by_process: dict[int, set[object]] = defaultdict(set)
    for request in tries:
        by_process[id(request.process)].add(request.name)
    return all(len(names) == 1 for names in by_process.values())


def shared_names(tries: Iterable[tuple[Order, Request]]) -> Mapping[str, Sequence[Order]]:
    """A build id, or a key, that these tries gave to several orders; and to which, the most."""
    named: dict[str, dict[object, dict[str, Order]]] = {"build id": {}, "Idempotency-Key": {}}
    for order, request in tries:
        for what, name in zip(named, request.name, strict=True):
            if name is not None:
                named[what].setdefault(name, {})[order.name] = order
    worst = {what: max(names.values(), key=len, default={}) for what, names in named.items()}
    return {what: list(orders.values()) for what, orders in worst.items() if len(orders) > 1}


def said_when_known(history: History) -> Finding:
    """An order is said to be started only when the service has said yes to it."""
    orders = Orders.of(history)
    said = [(order, one) for order in orders.all for one in order.says(STARTED)]
    if not said:
        return unknown("no order was said to be started")
    for order, one in said:
        if not said_yes_by(order, one.event.n):
            answers = [r.status for r in order.tries if r.heard and r.heard.n < one.event.n]
            tail = f"it had said {answers[-1]}" if answers else "it had not answered at all"
            seen = f"{order.name} was said to be started before the service had said yes: {tail}."
            return broken(seen, order_life(orders, order))
    return KEPT


def said_yes_by(order: Order, n: int) -> bool:
    """Whether the program had heard by then that the order is there."""
    heard = [r.heard for r in order.tries if r.said_yes and r.heard]
    return any(event.n < n for event in (*heard, *order.shown))


def only_bad_ones_refused(history: History) -> Finding | None:
    """What the service refuses is said to be refused, after a few tries; nothing else is."""
    orders = Orders.of(history)
    for order in orders.good:
        if order.says(REFUSED):
            seen = f"{order.name} was said to be refused; the service would have taken it."
            if order.left:
                seen = f"{order.name} was said to be refused, though the service has it."
            return broken(seen, order_life(orders, order))
    bad = [order for order in orders.all if order.is_bad]
    if not bad:
        return None
    for order in bad:
        noes = [request for request in order.tries if request.said_no]
        if len(noes) > MOST_TRIES:
            status = noes[0].status
            seen = f"{order.name} was tried {len(order.tries)} times, though the service had said "
            seen += f"{status} each time: no further try will change that."
            return broken(seen, order_life(orders, order))
        if not order.says(REFUSED):
            if not order.tries:
                return unknown("the bad order was never sent")
            seen = f"{order.name} was never said to be refused."
            return broken(seen, order_life(orders, order))
    return KEPT


def waits_as_told(history: History) -> Finding | None:
    """No order is tried again before the time that Retry-After names is over."""
    orders = Orders.of(history)
    told = False
    for order in orders.all:
        for first, second in pairwise(order.tries):
            wait_s = first.retry_after_s
            if wait_s is None or first.heard is None or first.process is not second.process:
                continue
            told = True
            after_s = second.event.at_s - first.heard.at_s
            if after_s < wait_s - EARLY_S:
                seen = f"The service had asked to come again after {wait_s:g} s, and {order.name} "
                seen += f"was tried again after {after_s:.2f} s."
                return broken(seen, order_life(orders, order))
    if told or not any(request.retry_after_s for request in orders.requests):
        return KEPT if told else None
    return unknown("nothing was tried again that the service had asked to wait with")


def ends(history: History) -> Finding:
    """It ends by itself, with status 0."""
    if not history.processes:
        return unknown("the program was never started")
    orders = Orders.of(history)
    for process in history.processes:
        if process.ended_by_itself and process.exited and process.exited.data.get("status") != 0:
            notes = [note for note in history.noted("stderr") if note.copy == process.copy]
            said = last_line(notes[-1]) if notes else ""
            seen = f"It ended with status {process.exited.data.get('status')}"
            seen += f'. It said last: "{said}".' if said else ", without a word of error."
            return broken(seen, program_life(history, process.copy))
    last = history.processes[-1]
    if last.ended_by_itself:
        return KEPT
    waiting = unanswered_at_the_end(orders)
    if waiting:
        shown = waiting[-1]
        seen = f"It did not end: it waited for an answer about {shown.name} that never came."
        return broken(seen, order_life(orders, shown, ending="the run ended: it still waited"))
    life = program_life(history, last.copy, ending="the run ended: it still ran")
    return broken("It did not end, and had to be stopped.", life)


def unanswered_at_the_end(orders: Orders) -> list[Order]:
    """Those whose last try of the last process had no answer, and came to no end."""
    last = orders.history.processes[-1] if orders.history.processes else None
    return [
        order
        for order in orders.all
        if order.tries and order.tries[-1].process is last and _hangs(order.tries[-1])
    ]


def _hangs(request: Request) -> bool:
    held = {"come-late", "hold-answer", "hold-request"}
    return request.heard is None and any(fault.name in held for fault in request.faults)


def _last_sent(orders: Orders) -> Order | None:
    sent = [order for order in orders.all if order.tries]
    return max(sent, key=lambda order: order.tries[-1].event.n, default=None)


def _orders(shown: Order, all_: Sequence[Order]) -> str:
    if len(all_) == 1:
        return f"{shown.name} was"
    words = some([shown.name, *(order.name for order in all_ if order is not shown)], "order")
    return f"{words[0].upper()}{words[1:]} were"


def _what_it_printed(history: History) -> str:
    printed = [event for event in history.events if event.kind == "line"]
    if printed:
        return f" What was printed was such as {quoted(str(printed[0].data.get('text')))}."
    return " Nothing at all was printed; a program has to flush what it prints."
