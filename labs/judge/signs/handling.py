"""Signs of beliefs about what a handler of jobs says, and when: 48 to 54.

Told from what became of the jobs that were not ready, of the bad ones, and of those that
were done: held, acknowledged for good, laid aside, or queued once more by the program.
"""

from __future__ import annotations

from labs.judge.history import History
from labs.judge.lives import Message
from labs.judge.rules import handling
from labs.judge.rules.failing import failed_queue, is_bad
from labs.judge.rules.work import published
from labs.judge.signs import repeating


def _is_aside(history: History, message: Message) -> bool:
    return any(event.data.get("queue") == failed_queue(history) for event in message.left)


def _let_go(message: Message) -> bool:
    """Acknowledged, not done, and not published again by whoever had it."""
    acked = any(d.settled and d.settled.how == "ack" for d in message.deliveries)
    return acked and not message.done and not message.publishes


def waits_in_the_handler(history: History) -> bool:
    """What was not ready was in somebody's hand all the time, and was never handed back."""
    return any(not delivery.message.publishes for delivery in handling.held_unready(history))


def said_done_when_not_ready(history: History) -> bool:
    return any(
        _let_go(message) and not _is_aside(history, message)
        for message in handling.unready(history)
    )


def said_nothing(history: History) -> bool:
    """What was done is among the failed."""
    return any(m.done and _is_aside(history, m) for m in published(history) if not is_bad(m))


def swallowed_the_error(history: History) -> bool:
    """A bad job was taken for done: it is gone."""
    bad = [message for message in published(history) if is_bad(message)]
    return any(_let_go(message) and not _is_aside(history, message) for message in bad)


def queued_anew(history: History) -> bool:
    return bool(handling.renamed(history))


def failed_when_not_ready(history: History) -> bool:
    return any(not m.done and _is_aside(history, m) for m in handling.unready(history))


def queued_at_once(history: History) -> bool:
    """It put what was not ready back into the queue itself, time and again, without a pause."""
    return any(
        sum(publish.routing_key == history.queue for publish in message.publishes)
        > handling.MOST_LOOKS
        for message in handling.unready(history)
    )


def marked_first(history: History) -> bool:
    """What a copy held when it died was skipped when it came again, by a record on disk.

    On its way the job may have been handed on, so that the flag `redelivered` does not count.
    """
    skipped = list(repeating.skipped(history))
    ended = any(process.ended_by_itself for process in history.processes)
    died = all(any(d.returned for d in one.message.deliveries) for one in skipped)
    return bool(skipped) and died and not ended and repeating.kept_something(history) is True
