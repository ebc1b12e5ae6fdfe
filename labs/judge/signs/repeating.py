"""Signs of beliefs about messages that come twice: 23 to 26.

Told from what was done again and what was skipped. A set in memory (25) looks like
no memory at all (24) until a message comes twice to the same process; and a flag that
is trusted (23) looks like a mark made too early (26) unless one knows whether the
program kept anything on disk, which a trial notes as `state`.
"""

from __future__ import annotations

from collections.abc import Iterator

from labs.judge.history import History, was_handed_on
from labs.judge.lives import Delivery, Message
from labs.judge.rules.work import published


def skipped(history: History) -> Iterator[Delivery]:
    """Deliveries that were acknowledged without being done, of messages that nobody did."""
    someone_worked = any(d.done for d in history.deliveries)
    for delivery in history.deliveries:
        settled = delivery.settled or delivery.unheard
        undone = delivery.message.published and delivery.message.first_done is None
        acked = settled is not None and settled.how == "ack"
        if someone_worked and undone and acked and not was_handed_on(delivery):
            yield delivery


def skipped_by_flag(history: History) -> bool:
    """All that was skipped was flagged as redelivered, and nothing with the flag was done."""
    undone = list(skipped(history))
    flagged = [d for d in history.deliveries if d.redelivered and d.settled]
    return bool(undone) and all(d.redelivered for d in undone) and not any(d.done for d in flagged)


def kept_something(history: History) -> bool | None:
    """Whether the program wrote into STATE_DIR; None where that was not looked at."""
    notes = history.noted("state")
    return bool(notes[-1].data.get("files")) if notes else None


def skipped_by_flag_alone(history: History) -> bool:
    return skipped_by_flag(history) and kept_something(history) is False


def marked_first(history: History) -> bool:
    """What was in work when a copy died was skipped when it came again, by a record on disk."""
    undone = list(skipped(history))
    flagged = bool(undone) and all(delivery.redelivered for delivery in undone)
    return flagged and kept_something(history) is True


def skipped_the_new(history: History) -> bool:
    """Messages were skipped that had never been delivered before: taken for others."""
    return any(
        not d.redelivered and d.message.deliveries[0] is d and d.done is None
        for d in skipped(history)
    )


def again_elsewhere_only(history: History) -> bool:
    """The process that had done a message skipped it when it came again; another one did it."""
    return done_twice(history) and any(_skipped_its_own(message) for message in published(history))


def _skipped_its_own(message: Message) -> bool:
    for earlier in message.deliveries:
        for later in message.deliveries:
            same = later.connection.process is earlier.connection.process
            came_again = earlier.done and later.event.n > earlier.done.n
            let_go = later.settled and not later.done and not was_handed_on(later)
            if same and came_again and let_go:
                return True
    return False


def done_twice(history: History) -> bool:
    return any(
        sum(said.delivery is not None for said in message.done) > 1
        for message in published(history)
    )
