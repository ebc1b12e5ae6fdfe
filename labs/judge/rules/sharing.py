"""Whether two copies share the work: each takes part, one message at a time, and none idles.

Times are taken to the program's favour: a copy is busy from a delivery to its line
`done`, and a message waits only while it stands in the queue, delivered to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from labs.judge.evidence import deliveries as told
from labs.judge.evidence import message_life, program_life, quoted
from labs.judge.history import History
from labs.judge.lives import Delivery, Message
from labs.judge.rules.finding import KEPT, Finding, broken, unknown
from labs.judge.rules.work import NOTHING_PUBLISHED, published

AT_LEAST = 2
IDLE_S = 0.5
SLACK_S = 0.15
"""What a busy machine may add to a wait."""
STARVED_S = 2.5
"""So long no broker waits before it sends a message to a consumer that is ready for it."""

Span = tuple[float, float]
"""From, to: seconds since the journal began."""


def each_copy_did_some(history: History) -> Finding:
    """Each copy did at least two."""
    if not published(history):
        return unknown(NOTHING_PUBLISHED)
    did = dict.fromkeys(history.copies, 0)
    for delivery in history.deliveries:
        if delivery.done and delivery.copy in did:
            did[delivery.copy] += 1
    copy, fewest = min(did.items(), key=lambda item: item[1])
    if fewest >= AT_LEAST:
        return KEPT
    others = ", ".join(f"{name} did {count}" for name, count in did.items() if name != copy)
    seen = f"{copy} did {fewest or 'none'} of the messages; {others}."
    return broken(seen, program_life(history, copy, ending=f"{copy} had done {fewest}"))


def one_at_a_time(history: History) -> Finding:
    """No copy is delivered a message before it is done with the one before."""
    if not history.deliveries:
        return unknown("nothing was delivered")
    for copy in history.copies:
        mine = [d for d in history.deliveries if d.copy == copy and d.message.published]
        for earlier, later in pairwise(mine):
            if not _is_through(history, earlier, later):
                seen = (
                    f"{copy} was delivered {quoted(later.message.body)} while it was not done with "
                )
                seen += f"{quoted(earlier.message.body)}."
                return broken(seen, told(history, [earlier, later]))
    return KEPT


def none_idle(history: History) -> Finding:
    """While messages wait, no copy is idle for more than 0.5 s.

    A copy that consumes and has settled what it had leaves it to the broker to send the next one.
    On a busy machine that may take its time, so that such a wait counts only once it is long: a
    broker that sends this copy nothing at all was told so, such as by single active consumer.
    """
    messages = published(history)
    if not messages:
        return unknown(NOTHING_PUBLISHED)
    end_s = _end_s(history)
    waiting = union(span for message in messages for span in _waits(message, end_s))
    for copy in history.copies:
        begins = [c.began.at_s for c in history.consumers if c.connection.copy == copy]
        begins += [e.at_s for connection, e in history.wire.polls if connection.copy == copy]
        if not begins:
            return unknown(f"{copy} did not consume")
        idle = overlap(minus([(min(begins), end_s)], _busy(history, copy, end_s)), waiting)
        own = minus(idle, _left_to_broker(history, copy, end_s))
        too_long = [span for span in own if _lasts(span) > IDLE_S + SLACK_S]
        too_long += [span for span in idle if _lasts(span) > STARVED_S]
        for start_s, stop_s in too_long:
            shown = next(
                m for m in messages for a, b in _waits(m, end_s) if a < stop_s and b > start_s
            )
            seen = f"{copy} was idle for {stop_s - start_s:.1f} s (from {start_s:.1f} s on) "
            seen += f"while {quoted(shown.body)} waited in the queue."
            return broken(seen, message_life(history, shown.body))
    return KEPT


def _left_to_broker(history: History, copy: str, end_s: float) -> list[Span]:
    """From each settlement of a copy that consumes (or its beginning) to its next delivery."""
    consumers = [c for c in history.consumers if c.connection.copy == copy]
    mine = [d for d in history.deliveries if d.copy == copy and d.consumer]
    since = [c.began for c in consumers] + [d.settled.event for d in mine if d.settled]
    spans = []
    for event in since:
        upto = next((d.began.at_s for d in mine if d.began.n > event.n), end_s)
        spans.append((event.at_s, upto))
    over = max((c.ended.at_s if c.ended else end_s for c in consumers), default=0.0)
    return union(overlap(spans, [(0.0, over)]))


def _lasts(span: Span) -> float:
    return span[1] - span[0]


def _is_through(history: History, earlier: Delivery, later: Delivery) -> bool:
    over = [earlier.done, earlier.returned]
    if earlier.settled and earlier.settled.requeue:
        over.append(earlier.settled.event)
    if any(event and event.n < later.event.n for event in over):
        return True
    # A program that polls without acks sends nothing at which its output could be read to the
    # end before the next message comes: its line may be late by a moment, though it was in time.
    if earlier.settled and earlier.settled.how == "auto" and earlier.done and not earlier.consumer:
        worked = later.event.at_s - earlier.event.at_s >= 0.9 * history.work_s(earlier.message.body)
        return worked and earlier.done.at_s - later.event.at_s < 0.2
    return False


def _end_s(history: History) -> float:
    """When the judge began to end the program, or the run ended."""
    ends = [e.at_s for e in history.signals if e.name == "terminate"]
    ends += [e.at_s for e in history.noted("gave-up")]
    return min(ends) if ends else (history.events[-1].at_s if history.events else 0.0)


def _busy(history: History, copy: str, end_s: float) -> list[Span]:
    spans = []
    for delivery in history.deliveries:
        if delivery.copy == copy:
            end = delivery.done or delivery.over
            auto = delivery.settled and delivery.settled.how == "auto" and not delivery.done
            spans.append((delivery.event.at_s, end_s if auto or not end else end.at_s))
    return union(spans)


def _waits(message: Message, end_s: float) -> list[Span]:
    """When a message stood in the queue."""
    assert message.published
    spans, since = [], message.published.at_s
    for delivery in message.deliveries:
        spans.append((since, delivery.began.at_s))
        back = delivery.returned
        if delivery.settled and delivery.settled.requeue:
            back = delivery.settled.event
        if back is None:
            return spans
        since = back.at_s
    return [*spans, (since, end_s)]


# --- Spans of time ----------------------------------------------------------------------------


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time, in order and without overlaps."""
    joined: list[Span] = []
    for start, stop in sorted(span for span in spans if span[1] > span[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def overlap(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """The time that is in both."""
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return union(pair for pair in pairs if pair[1] > pair[0])


def minus(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """The time that is in the first alone; `other` as `union` gives it."""
    rest = []
    for start, stop in one:
        for a, b in other:
            if a < stop and b > start:
                rest.append((start, a))
                start = max(start, b)
        rest.append((start, stop))
    return union(rest)
