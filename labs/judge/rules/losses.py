"""Whether the work goes on when a copy dies or freezes, or the connection is lost.

A fault counts only if it struck while the copy had a message in hand (or, for a lost
connection, while it was connected); otherwise the promise is unknown in that trial.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.journal import Event
from labs.judge.evidence import message_life, program_life, quoted
from labs.judge.history import History
from labs.judge.lives import Connection, Delivery, Process
from labs.judge.rules.finding import KEPT, Finding, broken, unknown
from labs.judge.rules.work import done_exactly_once, is_settled_early, never, published

BACK_WITHIN_S = 30.0
SLACK_S = 0.5
LONGEST_HEARTBEAT_S = 10


def the_other_takes_over(history: History) -> Finding | None:
    """What the dead or frozen copy held is done by the other."""
    blows = history.struck("kill", "freeze")
    if not blows:
        return None
    for blow in blows:
        copy = blow.copy or ""
        held = [d for d in history.in_hand(copy, blow) if d.message.published]
        if not held:
            return unknown(f"{copy} held no message when it was struck")
        if blow.name == "freeze" and (why := _unnoticed(history, blow, held)):
            return unknown(why)
        for delivery in held:
            if not _was_taken_over(delivery, blow):
                verb = "killed" if blow.name == "kill" else "frozen"
                body = delivery.message.body
                seen = f"{copy} was {verb} while it held {quoted(body)}, and the other copy "
                seen += "never did it."
                life = message_life(history, body, ending=never(delivery.message))
                return broken(seen, life)
    return KEPT


def _was_taken_over(delivery: Delivery, blow: Event) -> bool:
    for said in delivery.message.done:
        if said.delivery is None:
            continue
        other = said.copy != blow.copy
        # A line that was on its way out when the copy died: the work was done after all.
        last_words = blow.name == "kill" and said.delivery is delivery
        if other or last_words:
            return True
    return False


def _unnoticed(history: History, blow: Event, held: Sequence[Delivery]) -> str:
    """Why the broker could not notice in time that the copy was frozen; empty if it did."""
    for delivery in held:
        connection = delivery.connection
        thaw = next((s for s in history.struck("thaw") if s.n > blow.n), None)
        ended = connection.ended
        if ended and ended.n > blow.n and (thaw is None or ended.n < thaw.n):
            continue
        if connection.heartbeat_s:
            agreed = f"the agreed heartbeat of {connection.heartbeat_s} s"
            return f"with {agreed} the broker did not notice in time that the copy was frozen"
        return "without a heartbeat the broker cannot notice that a copy is frozen"
    return ""


def back_at_work(history: History) -> Finding | None:
    """The same process is at work again within 30 s of each loss."""
    losses = history.struck("close-by-broker", "cut", "away")
    if not losses:
        return None
    for loss in losses:
        for copy in [loss.copy] if loss.copy else history.copies:
            process = next(
                (p for p in reversed(history.processes) if p.copy == copy and p.started.n < loss.n),
                None,
            )
            if process is None:
                return unknown(f"{copy} was not running when its connection was to be lost")
            if finding := _back_after(history, loss, process):
                return finding
    return KEPT


def _back_after(history: History, loss: Event, process: Process) -> Finding | None:
    copy = process.copy
    since = loss
    if loss.name == "away":
        since = next((e for e in history.struck("back") if e.n > loss.n), loss)
    what = {"cut": "the network had reset its connection", "away": "the broker was back"}
    after = what.get(loss.name, "the broker had closed its connection")
    signs = _signs_of_work(history, process, loss)
    if signs:
        took_s = signs[0].at_s - since.at_s
        if took_s <= BACK_WITHIN_S + SLACK_S:
            return None
        seen = f"{copy} was at work again only {took_s:.0f} s after {after}."
        return broken(
            seen, program_life(history, copy, more=[(signs[0], f"{copy} consumed again")])
        )
    if process.exited and process.ended_by_itself and process.exited.n > loss.n:
        status = process.exited.data.get("status")
        seen = f"{copy} ended with status {status} after {after}, instead of connecting again."
        return broken(seen, program_life(history, copy))
    watched_s = _asked_to_stop_s(history, process) - since.at_s
    if watched_s < BACK_WITHIN_S:
        return unknown(f"the run ended {watched_s:.0f} s after {after}, too early to tell")
    seen = f"{copy} was not at work again {watched_s:.0f} s after {after}."
    return broken(seen, program_life(history, copy, ending=f"{copy} did not consume any more"))


def _signs_of_work(history: History, process: Process, loss: Event) -> list[Event]:
    """When the process consumed or polled on a connection that it opened after the loss."""
    fresh = [c for c in history.connections if c.process is process and c.opened.n > loss.n]
    signs = [
        c.began for c in history.consumers if c.connection in fresh and c.queue == history.queue
    ]
    signs += [event for connection, event in history.wire.polls if connection in fresh]
    return sorted(signs, key=lambda event: event.n)


def _asked_to_stop_s(history: History, process: Process) -> float:
    stops = [e.at_s for e in history.signals if e.name == "terminate" and e.copy == process.copy]
    return stops[0] if stops else history.events[-1].at_s


def one_consumer(history: History) -> Finding:
    """The program never has two consumers on $QUEUE at once."""
    mine = [consumer for consumer in history.consumers if consumer.queue == history.queue]
    if not mine and not history.wire.polls:
        return unknown("nothing consumed the queue")
    for i, earlier in enumerate(mine):
        for later in mine[i + 1 :]:
            if earlier.ended is None or earlier.ended.n > later.began.n:
                who = later.connection.copy or "the program"
                seen = f"{who} had two consumers on the queue at once: on its connections "
                seen += f"{earlier.connection.number} and {later.connection.number}."
                if earlier.connection is later.connection:
                    seen = f"{who} had two consumers on the queue at once, on one connection."
                more = [
                    (c.began, f"{who} consumes on connection {c.connection.number}")
                    for c in (earlier, later)
                ]
                return broken(seen, program_life(history, who, more=more))
    return KEPT


def connection_kept(history: History) -> Finding:
    """No connection is lost before the program is asked to stop."""
    ready = [connection for connection in history.connections if connection.is_ready]
    if not ready:
        return unknown("the program never connected")
    for connection in ready:
        stop_n = next((e.n for e in history.signals if e.name == "terminate"), len(history.events))
        if connection.ended and connection.ended.n < stop_n and not _was_closed(connection):
            who, when = connection.copy or "The program", connection.ended.at_s
            by = connection.ended.data.get("by")
            seen = f"{who} lost its connection at {when:.1f} s"
            seen += " (the broker gave it up)." if by == "broker" else "."
            held = [d for d in history.deliveries if d.connection is connection and d.returned]
            if held:
                return broken(seen, message_life(history, held[0].message.body))
            more = [(connection.ended, f"{who}'s connection was lost")]
            return broken(seen, program_life(history, connection.copy, more=more))
    return KEPT


def _was_closed(connection: Connection) -> bool:
    """Whether the program itself closed it, in good order."""
    closing = connection.closing
    return closing is not None and closing.side == "client"


def long_work_in_one_go(history: History) -> Finding:
    """The long message is delivered once, unacknowledged while in work, and done once."""
    messages = published(history)
    if not messages:
        return unknown("no message was published, for the program was not ready")
    longest = max(messages, key=lambda message: len(message.body))
    body, arrived = longest.body, [d for d in longest.deliveries if d.arrived]
    life = message_life(history, body, ending=never(longest))
    name = f"{quoted(body)}, whose work lasts {history.work_s(body):.0f} s,"
    if not arrived:
        return broken(f"{name} was never delivered.", life)
    if len(arrived) > 1:
        return broken(f"{name} was delivered {len(arrived)} times.", life)
    if is_settled_early(arrived[0]):
        return broken(f"{name} was settled while it was in work.", life)
    done = [said for said in longest.done if said.delivery]
    if len(done) != 1:
        return broken(f"{name} was done {len(done)} times.", life)
    return KEPT


def heartbeat_is_sound(history: History) -> Finding:
    """The agreed heartbeat is neither off nor above 10 s."""
    agreed = [c for c in history.connections if c.heartbeat_s is not None]
    if not agreed:
        return unknown("the program never connected")
    for connection in agreed:
        heartbeat_s = connection.heartbeat_s or 0
        if not 0 < heartbeat_s <= LONGEST_HEARTBEAT_S:
            who = connection.copy or "The program"
            agreed_on = f"a heartbeat of {heartbeat_s} s" if heartbeat_s else "no heartbeat at all"
            seen = f"{who} agreed on {agreed_on}: a dead peer would go unnoticed."
            more = [(connection.opened, f"{who} connected, and agreed on {agreed_on}")]
            return broken(seen, program_life(history, connection.copy, more=more))
    return KEPT


def exactly_once_though_twice(history: History) -> Finding:
    """Each message is done exactly once, although some were delivered twice."""
    finding = done_exactly_once(history)
    if finding is KEPT and not any(len(m.deliveries) > 1 for m in published(history)):
        return unknown("no message was delivered twice")
    return finding
