"""Which wrong belief a run shows, told from the wire and the lines alone; never a guess.

Each row of `SIGNS` names a belief, the broken promises that it could explain, and
the sign by which it is known: something that the program sent, and that the promise
was broken by. The first row that fits counts, so that the more special belief stands
above the more general. Where no row fits the answer is None.

Not every belief can be told so: nobody sees effects (27), and an order (21, 22), a
time to live (32) or a timeout (35) is not what an exercise is about; to publish again
without a name (14) is allowed. `labs.judge.misconceptions` has them all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from labs.judge.history import History
from labs.judge.lives import Delivery, Message, Publish
from labs.judge.rules.failing import AT_MOST, attempts, failed_queue, is_bad
from labs.judge.rules.losses import LONGEST_HEARTBEAT_S
from labs.judge.rules.producing import given, in_stock
from labs.judge.rules.work import LOSSES, is_settled_early, published
from labs.judge.verdicts import Outcome, Verdict

Sign = Callable[[History], bool]
"""Whether one trial shows it."""


@dataclass(frozen=True)
class Row:
    """One belief and how it is known."""

    misconception: int
    explains: frozenset[str]
    """The ids of the promises that it breaks; empty: any."""
    sign: Sign
    exercises: frozenset[str] = frozenset()
    """Empty: all."""


def misconception_of(
    slug: str, histories: Sequence[History], verdicts: Sequence[Verdict]
) -> int | None:
    """The number of the belief that the run shows; None where nothing broke or it can't be told."""
    broken = [verdict for verdict in verdicts if verdict.outcome is Outcome.BROKEN]
    trials = {verdict.trial for verdict in broken}
    promises = {verdict.promise for verdict in broken}
    broken_in = [history for history in histories if history.trial in trials]
    if any(history.noted("flooded", "forked", "escaped") for history in broken_in):
        return None  # it was ended for that, and what it left undone says nothing of queues
    for row in SIGNS:
        fits = not row.explains or row.explains & promises
        here = not row.exercises or slug in row.exercises
        if fits and here and any(map(row.sign, broken_in)):
            return row.misconception
    return None


# --- What the broker refused, and what the program said of itself ---------------------------


def _redeclared(history: History) -> bool:
    return any(r.code == 406 and "inequivalent arg" in r.text for r in history.wire.refusals)


def _unknown_tag(history: History) -> bool:
    return any(r.code == 406 and "unknown delivery tag" in r.text for r in history.wire.refusals)


def _threads_collided(history: History) -> bool:
    """A thread failed while it settled, or the frames of several came mixed up.

    Two threads in one client library may write the same ack twice, so that 406 is the broker's
    answer: the threads' own words on standard error tell it from an ack that was meant twice.
    """
    if any(refusal.code in (501, 503, 505) for refusal in history.wire.refusals):
        return True
    settling = ("basic_ack", "basic_nack", "basic_reject", ".ack(", ".reject(")
    tails = [str(note.data.get("tail", "")) for note in history.noted("stderr")]
    return any("in thread Thread-" in tail and any(s in tail for s in settling) for tail in tails)


# --- Settling -------------------------------------------------------------------------------


def _auto(history: History) -> Iterator[Delivery]:
    """Deliveries that were settled as they were sent, and not done at once."""
    for delivery in history.deliveries:
        if delivery.settled and delivery.settled.how == "auto" and is_settled_early(delivery):
            yield delivery


def _settles_by_auto_ack(history: History) -> bool:
    """The promise that broke is about settling itself."""
    return any(True for _ in _auto(history))


def _lost_by_auto_ack(history: History) -> bool:
    """A copy held a message when it was struck, and the broker had forgotten it by then."""
    blows = history.struck(*LOSSES)
    return any(
        d.message.first_done is None
        and (is_bad(d.message) or any(d in history.in_hand(d.copy or "", b) for b in blows))
        for d in _auto(history)
    )


def _with_prefetch(sign: Sign) -> Sign:
    def both(history: History) -> bool:
        limited = any(d.consumer and d.consumer.prefetch for d in _auto(history))
        return limited and sign(history)

    return both


def _acked_on_receipt(history: History) -> bool:
    """A copy acknowledged a message, by its own tag, and did it afterwards."""
    return any(
        d.settled
        and d.settled.how == "ack"
        and d.settled.asked.data.get("delivery_tag") == d.tag
        and d.done
        and d.done.n > d.settled.event.n
        for d in history.deliveries
    )


def _acked_others_too(history: History) -> bool:
    """One ack settled deliveries before it that were not done."""
    return any(
        d.settled
        and d.settled.multiple
        and d.settled.asked.data.get("delivery_tag") != d.tag
        and is_settled_early(d)
        for d in history.deliveries
    )


def _never_acked(history: History) -> bool:
    """Messages were done that had to be acknowledged, and not one ever was.

    A program that is sent a message again and again, for it hangs up each time, knows that.
    """
    mine = [d for d in history.deliveries if d.message.published]
    heard_of = any(d.settled or d.unheard for d in mine)
    senders = [(d.message.body, d.connection.process) for d in mine]
    return not heard_of and len(set(senders)) == len(senders) and any(d.done for d in mine)


# --- Sharing --------------------------------------------------------------------------------


def _took_many(history: History) -> Iterator[Delivery]:
    """Deliveries by a consumer that came while an earlier one of the same copy was in hand."""
    for delivery in history.deliveries:
        if delivery.consumer and len(history.in_hand(delivery.copy or "", delivery.event)) > 0:
            yield delivery


def _no_limit(history: History) -> bool:
    return any(d.consumer and d.consumer.prefetch == 0 for d in _took_many(history))


def _wide_limit(history: History) -> bool:
    return any(d.consumer and d.consumer.prefetch > 1 for d in _took_many(history))


# --- Publishing -----------------------------------------------------------------------------


def _lost_publishes(history: History) -> Iterator[Publish]:
    """Publishes of what the judge did not find in the queue where it belongs."""
    for message in given(history):
        if not in_stock(history, message):
            yield from message.publishes
    for message in published(history):
        if is_bad(message) and not _set_aside(history, message):
            yield from message.publishes


def _wrong_key(history: History) -> bool:
    """Published by the default exchange to a queue that nobody had declared."""
    declared = {declaration.queue for declaration in history.wire.declarations}
    return any(
        p.exchange == "" and p.routing_key != history.queue and p.routing_key not in declared
        for p in _lost_publishes(history)
    )


def _bound_too_late(history: History) -> bool:
    """Published to an exchange to which nothing was bound by then."""
    for publish in _lost_publishes(history):
        bound = [
            event
            for event in history.events
            if event.kind == "frame"
            and event.name == "queue.bind"
            and event.data.get("exchange") == publish.exchange
        ]
        if publish.exchange and (not bound or bound[0].n > publish.event.n):
            return True
    return False


def _limited_length(history: History) -> bool:
    """$QUEUE was declared to drop what it has no room for."""
    return any(
        declared.queue == history.queue
        and {"x-max-length", "x-max-length-bytes"} & set(declared.arguments)
        and not str(declared.arguments.get("x-overflow", "")).startswith("reject-publish")
        for declared in history.wire.declarations
    )


def _no_confirms(history: History) -> bool:
    publishes = history.wire.publishes
    return bool(publishes) and all(p.number is None and not p.in_transaction for p in publishes)


def _confirmed_not_routed(history: History) -> bool:
    """A message was confirmed though no queue took it, and the program said that it was sent."""
    return any(
        publish.confirmed and (publish.returned or not publish.mandatory)
        for publish in _lost_publishes(history)
    )


def _transient_messages(history: History) -> bool:
    """The queue was to survive; the messages were not."""
    return _queue_is_durable(history) is True and any(
        publish.properties.get("delivery_mode") != 2 for publish in _lost_publishes(history)
    )


def _transient_queue(history: History) -> bool:
    """The messages were to survive; the queue was not."""
    modes = {p.properties.get("delivery_mode") for p in history.wire.publishes}
    return _queue_is_durable(history) is False and modes == {2}


def _queue_is_durable(history: History) -> bool | None:
    for declared in history.wire.declarations:
        if declared.queue == history.queue and declared.answered and not declared.passive:
            return declared.durable
    return None


# --- Losing the connection ------------------------------------------------------------------


def _heartbeat_off(history: History) -> bool:
    agreed = [c.heartbeat_s for c in history.connections if c.heartbeat_s is not None]
    return any(not 0 < heartbeat_s <= LONGEST_HEARTBEAT_S for heartbeat_s in agreed)


def _silent_while_at_work(history: History) -> bool:
    """The broker gave a connection up, without a word, while its copy worked."""
    return any(
        d.connection.heartbeat_s
        and d.connection.closing is None
        and d.returned
        and d.connection.ended
        and d.connection.ended.data.get("by") == "broker"
        for d in history.deliveries
    )


def _never_came_back(history: History) -> bool:
    """After the first loss the process never opened a connection again."""
    losses = history.struck("close-by-broker", "cut", "away")
    if not losses:
        return False
    return not any(connection.opened.n > losses[0].n for connection in history.connections)


# --- Poison ---------------------------------------------------------------------------------


def _bad(history: History) -> Iterator[Delivery]:
    for message in published(history):
        if is_bad(message):
            yield from message.deliveries


def _set_aside(history: History, message: Message) -> bool:
    return any(e.data.get("queue") == failed_queue(history) for e in message.left)


def _died_of_it(history: History) -> bool:
    """A copy ended by itself while it held a bad message."""
    return any(
        d.connection.process is not None
        and d.connection.process.ended_by_itself
        and d.settled is None
        for d in _bad(history)
    )


def _went_round(history: History) -> bool:
    """A bad message was given back to its queue time and again."""
    return any(
        is_bad(message)
        and attempts(history, message) > AT_MOST
        and sum(bool(d.settled and d.settled.requeue) for d in message.deliveries) > AT_MOST
        for message in published(history)
    )


def _limit_refused(history: History) -> bool:
    """It asked for a limit where there is none: on a classic queue."""
    return any(r.code == 406 and "x-delivery-limit" in r.text for r in history.wire.refusals)


def _trusted_a_limit(history: History) -> bool:
    """It went round though the program had asked for a limit, or for a queue that has one."""
    asked = [d.arguments for d in history.wire.declarations if d.queue == history.queue]
    return _went_round(history) and any(
        "x-delivery-limit" in arguments or arguments.get("x-queue-type") == "quorum"
        for arguments in asked
    )


def _rejected_into_nothing(history: History) -> bool:
    return any(
        d.settled
        and d.settled.how in ("nack", "reject")
        and not d.settled.requeue
        and not _set_aside(history, d.message)
        for d in _bad(history)
    )


def _acked_the_failed(history: History) -> bool:
    """A bad message was acknowledged, and the program had published nothing instead."""
    return not history.wire.publishes and any(
        d.settled and d.settled.how == "ack" and not d.message.done for d in _bad(history)
    )


def _left_the_failed_open(history: History) -> bool:
    """Good messages were acknowledged, bad ones never settled, and their copies had got over them.

    To hold a message is not to forget it: a program may still wait before it tries again. One that
    has printed something since, or has done a message that came later, is through with it.
    """
    bad = [d for d in _bad(history) if d.arrived]
    acked = any(d.settled and d.settled.how == "ack" for d in history.deliveries if d.done)
    if not acked or any(d.settled or d.done for d in bad):
        return False
    return any(_got_over(history, delivery) for delivery in bad)


def _got_over(history: History, delivery: Delivery) -> bool:
    failed_s = delivery.event.at_s + 0.9 * history.work_s(delivery.message.body)
    spoke = any(
        event.kind == "line" and event.copy == delivery.copy and event.at_s > failed_s
        for event in history.events
    )
    went_on = any(
        d.copy == delivery.copy and d.event.n > delivery.event.n and d.done
        for d in history.deliveries
    )
    return spoke or went_on


# --- Twice ----------------------------------------------------------------------------------


def _skipped(history: History) -> Iterator[Delivery]:
    """Deliveries that were acknowledged without being done, of messages that nobody did."""
    someone_worked = any(d.done for d in history.deliveries)
    for delivery in history.deliveries:
        settled = delivery.settled or delivery.unheard
        undone = delivery.message.published and delivery.message.first_done is None
        if someone_worked and undone and settled and settled.how == "ack":
            yield delivery


def _skipped_by_flag(history: History) -> bool:
    """All that was skipped was flagged as redelivered, and nothing with the flag was done."""
    skipped = list(_skipped(history))
    flagged = [d for d in history.deliveries if d.redelivered and d.settled]
    return (
        bool(skipped) and all(d.redelivered for d in skipped) and not any(d.done for d in flagged)
    )


def _kept_something(history: History) -> bool | None:
    """Whether the program wrote into STATE_DIR; None where that was not looked at."""
    notes = history.noted("state")
    return bool(notes[-1].data.get("files")) if notes else None


def _skipped_by_flag_alone(history: History) -> bool:
    return _skipped_by_flag(history) and _kept_something(history) is False


def _marked_first(history: History) -> bool:
    """What was in work when a copy died was skipped when it came again, by a record on disk."""
    return _skipped_by_flag(history) and _kept_something(history) is True


def _skipped_the_new(history: History) -> bool:
    """Messages were skipped that had never been delivered before: taken for others."""
    return any(
        not d.redelivered and d.message.deliveries[0] is d and d.done is None
        for d in _skipped(history)
    )


def _again_elsewhere_only(history: History) -> bool:
    """The process that had done a message skipped it when it came again; another one did it."""
    return _done_twice(history) and any(_skipped_its_own(message) for message in published(history))


def _skipped_its_own(message: Message) -> bool:
    for earlier in message.deliveries:
        for later in message.deliveries:
            same = later.connection.process is earlier.connection.process
            came_again = earlier.done and later.event.n > earlier.done.n
            if same and came_again and later.settled and not later.done:
                return True
    return False


def _done_twice(history: History) -> bool:
    return any(
        sum(said.delivery is not None for said in message.done) > 1
        for message in published(history)
    )


# --- The table ------------------------------------------------------------------------------

_WORK = frozenset({"done", "done-before-settled", "taken-over", "exactly-once", "others-done"})
_SETTLING = frozenset({"done-before-settled", "long-work", "one-at-a-time"})
_STORED = frozenset({"in-queue", "sent-is-stored", "messages-survive"})
_LOST = _STORED | {"done", "others-done"}
_POISON = frozenset({"poison"})
_IDEMPOTENCE = frozenset({"idempotence"})
_ANY: frozenset[str] = frozenset()

SIGNS: Sequence[Row] = (
    Row(15, _ANY, _redeclared),
    Row(8, _WORK | {"nothing-left"}, _acked_others_too),
    Row(9, _ANY, _threads_collided),
    Row(7, _ANY, _unknown_tag),
    Row(2, _SETTLING, _with_prefetch(_settles_by_auto_ack)),
    Row(19, frozenset({"one-at-a-time"}), _settles_by_auto_ack),
    Row(1, _SETTLING, _settles_by_auto_ack),
    Row(2, _WORK | {"set-aside"}, _with_prefetch(_lost_by_auto_ack)),
    Row(1, _WORK | {"set-aside"}, _lost_by_auto_ack),
    Row(3, _WORK | _SETTLING, _acked_on_receipt),
    Row(18, _LOST, _limited_length),
    # poison
    Row(30, _ANY, _died_of_it, _POISON),
    Row(31, _ANY, _limit_refused, _POISON),
    Row(31, _ANY, _trusted_a_limit, _POISON),
    Row(28, _ANY, _went_round, _POISON),
    Row(29, frozenset({"set-aside"}), _rejected_into_nothing, _POISON),
    Row(6, frozenset({"set-aside"}), _acked_the_failed, _POISON),
    Row(5, _ANY, _left_the_failed_open, _POISON),
    # what comes twice
    Row(25, frozenset({"exactly-once"}), _skipped_the_new, _IDEMPOTENCE),
    Row(26, frozenset({"exactly-once"}), _marked_first, _IDEMPOTENCE),
    Row(23, frozenset({"exactly-once"}), _skipped_by_flag_alone, _IDEMPOTENCE),
    Row(23, frozenset({"done", "taken-over"}), _skipped_by_flag),
    Row(25, frozenset({"exactly-once"}), _again_elsewhere_only, _IDEMPOTENCE),
    Row(24, frozenset({"exactly-once"}), _done_twice, _IDEMPOTENCE),
    # sharing
    Row(19, frozenset({"one-at-a-time", "none-idle", "shared"}), _no_limit),
    Row(20, frozenset({"one-at-a-time", "none-idle"}), _wide_limit),
    # publishing
    Row(16, _STORED | {"set-aside"}, _wrong_key),
    Row(17, _STORED, _bound_too_late),
    Row(12, frozenset({"sent-is-stored", "sent-after-taken"}), _no_confirms),
    Row(13, frozenset({"sent-is-stored"}), _confirmed_not_routed),
    Row(11, frozenset({"queue-survives"}), _transient_queue),
    Row(10, frozenset({"messages-survive"}), _transient_messages),
    # the connection
    Row(33, frozenset({"heartbeat"}), _heartbeat_off),
    Row(34, frozenset({"connection-kept", "long-work", "done"}), _silent_while_at_work),
    Row(36, frozenset({"back"}), _never_came_back),
    Row(4, _WORK | {"nothing-left", "shared"}, _never_acked),
)
"""The more special above the more general."""
