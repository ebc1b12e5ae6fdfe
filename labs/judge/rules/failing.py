"""Whether poison messages are kept from doing harm: few attempts, then aside, and nobody waits.

A body that begins with `bad` fails every time. How a program counts its attempts is
its own affair: requeue, a delivery limit, a retry queue, a copy that it publishes
itself. So a bad message is known by its body, on whichever way it comes.
"""

from __future__ import annotations

from labs.journal import Event
from labs.judge.evidence import message_life, quoted
from labs.judge.history import History
from labs.judge.lives import Message
from labs.judge.rules.finding import KEPT, Finding, broken, unknown
from labs.judge.rules.sharing import Span, minus, union
from labs.judge.rules.work import NOTHING_PUBLISHED, all_done, published

AT_MOST = 10
HELD_UP_S = 2.0
SLACK_S = 0.2


def is_bad(message: Message) -> bool:
    """Whether its work fails, every time."""
    return message.body.startswith("bad")


def others_done(history: History) -> Finding:
    """Every other message is done."""
    return all_done(history, [m for m in published(history) if not is_bad(m)])


def not_held_up(history: History) -> Finding:
    """The others are held up by no more than 2 s in all beyond the work that deliveries take.

    What counts is the time in which some good message is not done yet and no copy works on
    anything: a pause before a retry, a copy that died, a message that goes round and round.
    """
    good = [m for m in published(history) if not is_bad(m)]
    if not good:
        return unknown(NOTHING_PUBLISHED)
    end_s = history.events[-1].at_s
    waits: list[Span] = []
    for message in good:
        assert message.published
        done = message.first_done
        waits.append((message.published.at_s, done.event.at_s if done else end_s))
    idle = minus(union(waits), _work(history))
    held_up_s = sum(stop - start for start, stop in idle)
    if held_up_s <= HELD_UP_S + SLACK_S:
        return KEPT
    start, stop = max(idle, key=lambda span: span[1] - span[0])
    shown = next(
        m for m, span in zip(good, waits, strict=True) if span[0] < stop and span[1] > start
    )
    seen = f"Good messages were held up for {held_up_s:.1f} s in all, while nobody worked; "
    seen += f"{quoted(shown.body)} is one of them."
    return broken(seen, message_life(history, shown.body))


def _work(history: History) -> list[Span]:
    """When a copy worked on something: at the end of each delivery, for as long as it takes."""
    spans = []
    for delivery in history.deliveries:
        end = delivery.done or delivery.over
        if end and delivery.arrived:
            work_s = history.work_s(delivery.message.body)
            spans.append((max(delivery.event.at_s, end.at_s - work_s), end.at_s))
    return union(spans)


def bad_ones_few_times(history: History) -> Finding:
    """Each bad message is delivered at most 10 times."""
    bad = [message for message in published(history) if is_bad(message)]
    if not bad:
        return unknown(NOTHING_PUBLISHED)
    most = max(bad, key=lambda message: attempts(history, message))
    count = attempts(history, most)
    if count == 0:
        return unknown("no bad message was delivered")
    if count <= AT_MOST:
        return KEPT
    seen = f"{quoted(most.body)} was delivered {count} times."
    return broken(seen, message_life(history, most.body))


def attempts(history: History, message: Message) -> int:
    """How often it was delivered, wherever from but the queue for what failed."""
    return sum(d.queue != failed_queue(history) for d in message.deliveries)


def failed_queue(history: History) -> str:
    """$QUEUE.failed"""
    return f"{history.queue}.failed"


def bad_ones_never_done(history: History) -> Finding:
    """No bad message is said to be done."""
    bad = [message for message in published(history) if is_bad(message)]
    if not any(message.deliveries for message in bad):
        return unknown("no bad message was delivered")
    for message in bad:
        if message.done:
            said = message.done[0]
            seen = f'{said.copy} printed "done {said.text}", but the work on it fails every time.'
            return broken(seen, message_life(history, message.body))
    return KEPT


def bad_ones_set_aside(history: History) -> Finding:
    """Each bad message ends in $QUEUE.failed, its body unchanged, once."""
    bad = [message for message in published(history) if is_bad(message)]
    if not published(history):
        return unknown(NOTHING_PUBLISHED)
    aside = [e for e in history.left if e.data.get("queue") == failed_queue(history)]
    for message in bad:
        there = [e for e in aside if _was_published_so(message, e, history)]
        if len(there) == 1:
            continue
        life = message_life(history, message.body, ending="" if there else "the run ended")
        if there:
            seen = f"{quoted(message.body)} is in {failed_queue(history)} {len(there)} times."
            return broken(seen, life)
        for event in aside:
            found = str(event.data.get("body"))
            same = event.data.get("message_id") == message.message_id is not None
            if same or (message.body in found):
                seen = f"{quoted(message.body)} ended in {failed_queue(history)} changed: "
                seen += f"{quoted(found)}."
                return broken(seen, life)
        seen = f"{quoted(message.body)} did not end in {failed_queue(history)}"
        elsewhere = [str(e.data.get("queue")) for e in message.left]
        seen += f"; it is in {elsewhere[0]}." if elsewhere else "; it is nowhere any more."
        return broken(seen, life)
    names = [history.name_of(str(event.data.get("body"))) for event in aside]
    if strange := [name for name in names if not name.startswith("bad")]:
        body = strange[0]
        seen = f"{quoted(body)} is in {failed_queue(history)}, though it is not a bad one."
        return broken(seen, message_life(history, body))
    return KEPT


def _was_published_so(message: Message, left: Event, history: History) -> bool:
    """Whether this is the very message; a job is its bytes, and not only its name."""
    published = message.published
    same = published is not None and published.data.get("body") == left.data.get("body")
    return same and history.name_of(str(left.data.get("body"))) == message.body
