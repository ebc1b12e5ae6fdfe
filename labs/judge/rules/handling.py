"""Whether a handler of jobs blocks nobody: what is not ready waits in the queue, not in a worker.

Some deployments are not ready until the judge says so (a note `made-ready`). Whoever asks
for one meanwhile should give it back and go on; how, is the program's own affair: a job
is known by its text and its id, on whichever way it comes.
"""

from __future__ import annotations

from labs.journal import Event
from labs.judge.evidence import message_life, quoted
from labs.judge.history import History, job_in
from labs.judge.lives import Delivery, Message, Publish
from labs.judge.rules.failing import bad_ones_set_aside, failed_queue, is_bad
from labs.judge.rules.finding import KEPT, Finding, broken, some, unknown
from labs.judge.rules.work import NOTHING_PUBLISHED, done_exactly_once, never, published

MOST_LOOKS = 10
HELD_S = 1.0
"""Who holds a job for so long does not only look at it."""


def unready(history: History) -> list[Message]:
    """The deployments that were not ready when they were published."""
    return [m for m in published(history) if m.published and m.published.data.get("ready") is False]


def made_ready(history: History) -> Event | None:
    """When the judge said that they are."""
    return next(iter(history.noted("made-ready")), None)


def others_go_on(history: History) -> Finding | None:
    """While some deployments are not ready, the others are done."""
    waiting = unready(history)
    if not waiting:
        return None
    ready = made_ready(history)
    others = [m for m in published(history) if m not in waiting and not is_bad(m)]
    end = ready.n if ready else len(history.events)
    others = [m for m in others if m.published and m.published.n < end]
    late = [m for m in others if m.first_done is None or m.first_done.event.n > end]
    if not late:
        return KEPT
    seen = some([message.body for message in late], "deployment")
    seen = f"{seen[0].upper()}{seen[1:]} {'was' if len(late) == 1 else 'were'} ready, and not done "
    seen += f"while {quoted(waiting[0].body)} and {len(waiting) - 1} more were not ready"
    if held := held_unready(history):
        seen += f"; {held[0].copy} held {quoted(held[0].message.body)}, which was not ready"
    return broken(f"{seen}.", message_life(history, late[0].body, ending=never(late[0])))


def held_unready(history: History) -> list[Delivery]:
    """Deliveries of what was not ready that were still in somebody's hand at that time's end."""
    ready = made_ready(history)
    end_s = ready.at_s if ready else _end_s(history)
    return [
        delivery
        for message in unready(history)
        for delivery in message.deliveries
        if delivery.event.at_s < end_s - HELD_S
        and (delivery.over is None or delivery.over.at_s > end_s)
    ]


def _end_s(history: History) -> float:
    ends = [event.at_s for event in history.noted("gave-up")]
    ends += [event.at_s for event in history.signals if event.name == "terminate"]
    return min(ends, default=history.events[-1].at_s)


def done_when_ready(history: History) -> Finding | None:
    """No deployment is done before it is ready."""
    waiting = unready(history)
    if not waiting:
        return None
    ready = made_ready(history)
    for message in waiting:
        first = message.first_done
        if first and (ready is None or first.event.n < ready.n):
            seen = f"{first.copy} did {quoted(message.body)} before it was ready."
            return broken(seen, message_life(history, message.body))
    return KEPT


def few_looks(history: History) -> Finding | None:
    """A deployment that is not ready is delivered at most 10 times until it is."""
    waiting = unready(history)
    if not waiting:
        return None
    end = ready.n if (ready := made_ready(history)) else len(history.events)
    most = max(waiting, key=lambda message: _looks(message, end))
    looks = _looks(most, end)
    if looks == 0:
        return unknown("none of those that were not ready was delivered")
    if looks <= MOST_LOOKS:
        return KEPT
    seen = f"{quoted(most.body)} was delivered {looks} times while it was not ready."
    return broken(seen, message_life(history, most.body))


def _looks(message: Message, end: int) -> int:
    return sum(delivery.event.n < end for delivery in message.deliveries)


def good_ones_exactly_once(history: History) -> Finding:
    """Each deployment is done exactly once, although some jobs come twice."""
    good = [message for message in published(history) if not is_bad(message)]
    if not good:
        return unknown(NOTHING_PUBLISHED)
    finding = done_exactly_once(history, good)
    if finding is KEPT and not any(len(message.deliveries) > 1 for message in good):
        return unknown("no job was delivered twice")
    return finding


def only_bad_ones_set_aside(history: History) -> Finding | None:
    """Each bad job, and no other, ends in $QUEUE.failed, unchanged, once."""
    bad = any(is_bad(message) for message in published(history))
    aside = any(e.data.get("queue") == failed_queue(history) for e in history.left)
    return bad_ones_set_aside(history) if bad or aside else None


def keeps_its_id(history: History) -> Finding:
    """No job is queued anew under another id."""
    if not published(history):
        return unknown(NOTHING_PUBLISHED)
    for publish, message in renamed(history):
        other = job_in(publish.body or "").get("job_id")
        seen = f"{publish.copy} queued {quoted(message.body)} anew, as a job with another id "
        seen += f"({other})."
        return broken(seen, message_life(history, message.body))
    return KEPT


def renamed(history: History) -> list[tuple[Publish, Message]]:
    """What the program published under the text of a job of the judge's, with another id."""
    found = []
    for message in published(history):
        assert message.published
        own = message.published.data.get("job_id")
        for publish in message.publishes:
            if job_in(publish.body or "").get("job_id") != own:
                found.append((publish, message))
    return found
