"""Whether a producer's messages are where it says that they are.

What counts is what the judge found in the queue, with the bodies as they are there;
the lines `sent BODY` are the program's word, held against that. *Taken by the broker*
is read off the wire: a confirm, a commit, a later answer on the same channel (which
comes in order), or that the message was seen in the queue by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from labs.journal import Event
from labs.judge.evidence import message_life, program_life, quoted
from labs.judge.history import History
from labs.judge.lives import Message, Publish, Said
from labs.judge.rules.finding import KEPT, Finding, broken, some, unknown

NOTHING_GIVEN = "the program was given no lines, for it was not running"


def given(history: History) -> list[Message]:
    """The lines that the program was given, in order."""
    return [message for message in history.messages.values() if message.given]


def in_queue(history: History) -> list[Event]:
    """What the judge took out of $QUEUE, in its order."""
    return [event for event in history.left if event.data.get("queue") == history.queue]


def every_line_in_queue(history: History) -> Finding:
    """Every line is in the queue once, unchanged, in order."""
    lines = given(history)
    if not lines:
        return unknown(NOTHING_GIVEN)
    found = [str(event.data.get("body", "")) for event in in_queue(history)]
    return (
        _all_there(history, lines, found)
        or _once(history, found)
        or _in_order(history, lines, found)
    )


def every_line_still_there(history: History) -> Finding:
    """After the restart every message is still there, in order."""
    lines, restarts = given(history), history.struck("restart")
    if not lines:
        return unknown(NOTHING_GIVEN)
    if not restarts:
        return unknown("the broker was not restarted")
    found = [str(e.data.get("body", "")) for e in in_queue(history) if e.n > restarts[0].n]
    return _all_there(history, lines, found) or _in_order(history, lines, found)


def queue_still_there(history: History) -> Finding:
    """After the restart the queue is still there."""
    restarts = history.struck("restart")
    if not restarts:
        return unknown("the broker was not restarted")
    looks = [
        look
        for look in history.looks
        if look.n > restarts[0].n and look.data.get("queue") == history.queue
    ]
    if looks:
        return KEPT
    was = any(d.queue == history.queue and d.answered for d in history.wire.declarations)
    seen = "The queue is gone after the broker's restart."
    if not was:
        seen = "There is no such queue after the broker's restart; the program had declared none."
    more = [
        (d.event, f"the program declared it as {'durable' if d.durable else 'not durable'}")
        for d in history.wire.declarations
        if d.queue == history.queue
    ]
    return broken(seen, program_life(history, more=more, ending="the queue is not there"))


def every_line_sent(history: History) -> Finding:
    """Every line is said to be sent."""
    lines = given(history)
    if not lines:
        return unknown(NOTHING_GIVEN)
    unsaid = [message.body for message in lines if not message.sent]
    if not unsaid:
        return KEPT
    seen = f"{some(unsaid, 'line')} {'was' if len(unsaid) == 1 else 'were'} never said to be sent."
    if not history.lines:
        seen += _what_it_printed(history)
    life = message_life(history, unsaid[0], ending="the run ended: it was never said to be sent")
    return broken(f"{seen[0].upper()}{seen[1:]}", life)


def every_line_sent_once(history: History) -> Finding:
    """The same, and not said twice."""
    finding = every_line_sent(history)
    if finding.outcome is not KEPT.outcome:
        return finding
    for message in given(history):
        if len(message.sent) > 1:
            seen = f"{quoted(message.body)} was said to be sent {len(message.sent)} times."
            return broken(seen, message_life(history, message.body))
    return KEPT


def sent_is_stored(history: History) -> Finding:
    """Every body said to be sent is or was in the queue."""
    said = [message for message in given(history) if message.sent]
    if not said:
        return unknown("no line was said to be sent")
    stored = {str(event.data.get("body", "")) for event in in_queue(history)}
    lost = [message for message in said if message.body not in stored]
    if not lost:
        return KEPT
    shown = lost[0]
    verb = "was" if len(lost) == 1 else "were"
    seen = f"{some([m.body for m in lost])} {verb} said to be sent, and never in the queue."
    life = message_life(history, shown.body, ending="the run ended: it is in no queue")
    return broken(f"{seen[0].upper()}{seen[1:]}", life)


def sent_after_taken(history: History) -> Finding:
    """Nothing is said to be sent before the broker has taken it."""
    said = [message.sent[0] for message in given(history) if message.sent]
    if not said:
        return unknown("no line was said to be sent")
    early = [one for one in said if one.message and not was_taken(one.message, one)]
    if not early:
        return KEPT
    shown = next((s for s in early if s.message and not in_stock(history, s.message)), early[0])
    seen = f"{quoted(shown.text)} was said to be sent before the broker had taken it."
    return broken(seen, message_life(history, shown.text))


def was_taken(message: Message, said: Said) -> bool:
    """Whether, by this line, the program could know that the broker had the message."""
    by = said.event.n
    seen = [*message.left, *(d.event for d in message.deliveries)]
    if any(event.n < by for event in seen):
        return True
    return any(_took(publish, by) for publish in message.publishes)


def in_stock(history: History, message: Message) -> bool:
    """Whether the judge found it in $QUEUE."""
    return any(event.data.get("queue") == history.queue for event in message.left)


def _took(publish: Publish, by: int) -> bool:
    if not publish.reached_broker:
        return False
    words = [publish.confirmed, publish.committed]
    if not publish.in_transaction:
        words.append(publish.answered)
    return any(word is not None and word.n < by for word in words)


def _all_there(history: History, lines: Sequence[Message], found: list[str]) -> Finding | None:
    missing = [message.body for message in lines if message.body not in found]
    if not missing:
        return _none_strange(history, lines, found)
    seen = f"{some(missing)} {'is' if len(missing) == 1 else 'are'} not in the queue"
    strange = [body for body in found if body not in {message.body for message in lines}]
    alike = [s for s in strange if missing[0] in s] or get_close_matches(missing[0], strange, n=1)
    if alike:
        seen += f"; there is {alike[0]!r} instead"
    elif not any(publish.body == missing[0] for publish in history.wire.publishes):
        seen += "; it was never published"
    elif history.struck("restart"):
        seen += " after the broker's restart"
    life = message_life(history, missing[0], ending="the run ended: it is not in the queue")
    return broken(f"{seen[0].upper()}{seen[1:]}.", life)


def _none_strange(history: History, lines: Sequence[Message], found: list[str]) -> Finding | None:
    strange = [body for body in found if body not in {message.body for message in lines}]
    if not strange:
        return None
    seen = f"In the queue is {strange[0]!r}, which is no line of the input."
    return broken(seen, program_life(history))


def _once(history: History, found: list[str]) -> Finding | None:
    for body in found:
        if found.count(body) > 1:
            seen = f"{quoted(body)} is in the queue {found.count(body)} times."
            return broken(seen, message_life(history, body))
    return None


def _in_order(history: History, lines: Sequence[Message], found: list[str]) -> Finding:
    wanted = [message.body for message in lines]
    for here, there in zip(wanted, dict.fromkeys(found), strict=False):
        if here != there:
            seen = f"The order is another: {quoted(there)} stands in the queue where "
            seen += f"{quoted(here)} should."
            return broken(seen, message_life(history, there))
    return KEPT


def _what_it_printed(history: History) -> str:
    printed = [e for e in history.events if e.kind == "line"]
    if printed:
        return f' What it printed was such as "{str(printed[0].data.get("text"))[:80]}".'
    return " It printed nothing at all; a program has to flush what it prints."
