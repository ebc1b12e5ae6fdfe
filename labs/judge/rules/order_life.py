"""The smallest evidence of a trial on a queue service: one order's life, a line a moment.

Under which name it was sent, what the service made of it, what the program heard of that and
what it said; and what was done to the program meanwhile: in the order of the journal.
"""

from __future__ import annotations

from collections.abc import Iterator

from labs.journal import Event
from labs.judge.evidence import Line, blows, evidence_of, quoted
from labs.judge.orders import Order, Orders, Request
from labs.judge.verdicts import Evidence

FAULTS = {
    "lose-answer": "the connection was cut before the answer was out",
    "lose-request": "the connection was cut before the service had the request",
    "come-late": "the request was long on its way",
    "let-through": "the request of that try came to the service at last",
    "busy": "the service had too much to do",
    "service-away": "the service was restarted before it could answer",
    "service-back": "the service was back",
    "hold-answer": "no answer came",
    "hold-request": "the request did not come to the service, and no answer came",
}


def order_life(orders: Orders, *shown: Order, ending: str = "") -> Evidence:
    """What became of an order, or of several that belong together."""
    lines: list[Line] = []
    for order in shown:
        lines += _life(order, named=len(shown) > 1)
    copies = {said.event.copy for order in shown for said in order.said}
    copies |= {request.event.copy for order in shown for request in order.tries}
    begin = min((request.event.n for order in shown for request in order.tries), default=0)
    lines += [line for line in blows(orders.history, copies) if line[0].n > begin]
    return evidence_of(orders.history, shown[0].name, lines, ending)


def _life(order: Order, *, named: bool) -> Iterator[Line]:
    what = order.name if named else "it"
    yield order.given, f"{order.name} stood in the file: job {order.job}"
    for request in order.tries:
        yield request.event, f"{request.event.copy} sent {what} {_name(request)}"
        if request.answer and request.heard:
            yield request.answer, f"the service said {_said(request.answer)}"
        elif request.answer:
            yield request.answer, f"the service said {_said(request.answer)}, and nobody heard it"
        for fault in request.faults:
            yield fault, FAULTS[fault.name]
    for said in order.said:
        yield said.event, f"{said.event.copy} printed {quoted(f'{said.word} {order.name}')}"
    for event in order.left:
        build = event.data.get("build")
        yield event, f"the service has {what} as build {build}: {event.data.get('state')}"


def _name(request: Request) -> str:
    key = f"key {quoted(request.key)}" if request.key is not None else "no key"
    return f"as build {request.build}, with {key}"


def _said(answer: Event) -> str:
    status, wait_s = answer.data.get("status"), answer.data.get("retry_after_s")
    if wait_s is not None:
        return f"{status}, come again after {wait_s:g} s"
    if status not in (200, 201):
        return str(status)
    if answer.data.get("replayed"):
        return f"{status}, as it did the first time under this key"
    return f"{status}: {'it is there' if answer.data.get('created') else 'it was there already'}"
