"""What each exercise promises, in the order in which a learner is told.

A promise is a small value: an id, a sentence, a rule (a pure function of a history),
and the faults without which keeping it would mean nothing. A promise that was kept in
a trial whose fault missed is unknown, for the fault might have broken it; one that
was broken stays broken. Where the broker or the kit failed, all is unknown.

The first promise of each exercise is the program contract itself: a program that does
not start, connect or stay breaks that one, and reads so in a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from labs.judge.history import History
from labs.judge.rules import (
    claiming,
    committing,
    failing,
    handling,
    leasing,
    losses,
    producing,
    program,
    sharing,
    starting,
    work,
)
from labs.judge.rules.finding import Rule
from labs.judge.verdicts import Outcome, Verdict


@dataclass(frozen=True)
class Promise:
    """One promise of an exercise."""

    id: str
    sentence: str
    rule: Rule
    needs: tuple[str, ...] = ()
    """The faults that have to strike, each in one trial at least, for it to be kept."""

    def judge(self, history: History) -> Verdict | None:
        """What became of it in one trial; None where the trial has nothing to do with it."""
        trouble = next(iter(history.noted("trouble")), None)
        if trouble:
            why = f"the broker or the kit failed: {trouble.data.get('what', 'nobody knows how')}"
            return self._verdict(history, Outcome.UNKNOWN, why)
        if not history.processes and history.noted("not-possible-here"):
            why = str(history.noted("not-possible-here")[0].data.get("why"))
            return self._verdict(history, Outcome.UNKNOWN, why)
        finding = self.rule(history)
        if finding is None:
            return None
        missed = _why_missed(history, self.needs)
        if finding.outcome is not Outcome.BROKEN and missed:
            return self._verdict(history, Outcome.UNKNOWN, missed)
        return Verdict(
            self.id,
            self.sentence,
            finding.outcome,
            history.trial,
            finding.seen,
            finding.evidence,
        )

    def over_all(self, histories: Sequence[History]) -> Iterator[Verdict]:
        """What became of it in each trial; and unknown for each fault that struck in none."""
        verdicts = [v for h in histories if (v := self.judge(h))]
        yield from verdicts
        if any(verdict.outcome is not Outcome.KEPT for verdict in verdicts):
            return
        for fault in self.needs:
            if not any(h.struck(fault) or h.noted("left-out") for h in histories):
                whys = [why for h in histories if (why := _why_missed(h, (fault,)))]
                why = whys[0] if whys else f"what was to go wrong never did: {fault}"
                yield self._verdict(histories[0], Outcome.UNKNOWN, why)

    def _verdict(self, history: History, outcome: Outcome, seen: str) -> Verdict:
        return Verdict(self.id, self.sentence, outcome, history.trial, seen)


def _why_missed(history: History, faults: Sequence[str]) -> str:
    """Why one of these faults did not do in this trial what it is for; empty: it did."""
    for note in history.noted("fault-missed", "not-possible-here"):
        fault = str(note.data.get("fault", ""))
        if fault in faults:
            return str(note.data.get("why") or f"the fault did not strike: {fault}")
    return ""


WORKER = Promise(
    "contract",
    "The program starts, consumes $QUEUE at AMQP_URL, and runs until it is told to stop.",
    program.worker_keeps_contract,
)
PRODUCER = Promise(
    "contract",
    "The program starts, connects to AMQP_URL, and publishes each line as it comes.",
    program.producer_keeps_contract,
)
HANDLER = Promise(
    "contract",
    "The program starts, consumes $QUEUE at AMQP_URL, and stays.",
    program.handler_keeps_contract,
)
CONSUMER = Promise(
    "contract",
    "The program starts, reads $TOPIC as a member of $GROUP, and runs until it is told to stop.",
    program.consumer_keeps_contract,
)
CLAIMER = Promise(
    "contract",
    "The program starts, works on the tasks in DATABASE, and runs until it is told to stop.",
    program.claimer_keeps_contract,
)
CLIENT = Promise(
    "contract",
    "The program starts, and sends its orders to the service at QUEUE_SERVICE_URL.",
    program.client_keeps_contract,
)
EXITS = Promise("exits", "It exits with status 0 at the end of its input.", program.exits_0)
DONE_ONCE = Promise("done", "Every message is done, once.", work.every_message_done)
LEFT = Promise("nothing-left", "In the end nothing is left in the queue.", work.nothing_left)
TIME = Promise("takes-time", "No body is done sooner than its work lasts.", work.takes_its_time)
SENT = Promise("said-sent", "Every line is said to be sent.", producing.every_line_sent)


def _done_under(*faults: str) -> Promise:
    return Promise("done", "Every message is done.", work.every_message_done, faults)


MARKED_AFTER = Promise(
    "marked-after",
    "No task is marked as done before it is done.",
    claiming.settled_after_done,
)
ALL_MARKED = Promise(
    "all-marked", "In the end the stage of every task is success.", claiming.all_settled
)
TASK_TIME = Promise(
    "takes-time", "No task is done sooner than its work lasts.", claiming.takes_its_time
)


LOST = ("lose-answer", "lose-request", "come-late", "service-away", "hold-answer", "kill")
"""What leaves a client of the queue service without an answer."""


_PROMISES: dict[str, tuple[Promise, ...]] = {
    "hello-producer": (
        PRODUCER,
        Promise(
            "in-queue",
            "Every line is in the queue once, unchanged, in order.",
            producing.every_line_in_queue,
        ),
        Promise(
            "said-sent", "Every line is said to be sent, once.", producing.every_line_sent_once
        ),
        EXITS,
    ),
    "hello-consumer": (WORKER, DONE_ONCE, LEFT, TIME),
    "work-queue": (
        WORKER,
        Promise("done", "Every message is done, once over both copies.", work.every_message_done),
        Promise("shared", "Each copy does at least two.", sharing.each_copy_did_some),
        LEFT,
        TIME,
    ),
    "acknowledgements": (
        WORKER,
        _done_under("kill", "freeze"),
        Promise(
            "done-before-settled",
            "No message is settled before it is done.",
            work.settled_after_done,
        ),
        Promise(
            "taken-over",
            "What a dead or frozen copy held is done by the other.",
            losses.the_other_takes_over,
            ("kill", "freeze"),
        ),
        LEFT,
        TIME,
    ),
    "durability": (
        PRODUCER,
        SENT,
        Promise(
            "queue-survives",
            "The queue is still there after the broker's restart.",
            producing.queue_still_there,
            ("restart",),
        ),
        Promise(
            "messages-survive",
            "Every message is still there after the broker's restart, in order.",
            producing.every_line_still_there,
            ("restart",),
        ),
        EXITS,
    ),
    "fair-dispatch": (
        WORKER,
        Promise(
            "one-at-a-time",
            "No copy is delivered a message before it is done with the one before.",
            sharing.one_at_a_time,
        ),
        Promise(
            "none-idle",
            "While messages wait, no copy is idle for more than 0.5 s.",
            sharing.none_idle,
        ),
        DONE_ONCE,
        LEFT,
        TIME,
    ),
    "confirms": (
        PRODUCER,
        Promise(
            "sent-is-stored",
            "Every body said to be sent is or was in the queue.",
            producing.sent_is_stored,
            ("cut", "refuse-publish", "delete-queue"),
        ),
        Promise(
            "said-sent",
            "Every line is sent in the end.",
            producing.every_line_sent,
            ("cut", "refuse-publish", "delete-queue"),
        ),
        Promise(
            "sent-after-taken",
            "Nothing is said to be sent before the broker has taken it.",
            producing.sent_after_taken,
        ),
        EXITS,
    ),
    "reconnect": (
        WORKER,
        Promise(
            "back",
            "The same process is at work again within 30 s of each loss.",
            losses.back_at_work,
            ("close-by-broker", "cut", "away"),
        ),
        Promise("one-consumer", "It never has two consumers at once.", losses.one_consumer),
        _done_under("close-by-broker", "cut", "away"),
        LEFT,
        TIME,
    ),
    "heartbeats": (
        WORKER,
        Promise(
            "connection-kept",
            "The connection is never lost.",
            losses.connection_kept,
            ("ask-heartbeat",),
        ),
        Promise(
            "long-work",
            "The long message is delivered once, unacknowledged while in work, and done once.",
            losses.long_work_in_one_go,
            ("ask-heartbeat",),
        ),
        Promise(
            "heartbeat",
            "The agreed heartbeat is neither off nor above 10 s.",
            losses.heartbeat_is_sound,
            ("ask-heartbeat",),
        ),
        DONE_ONCE,
        LEFT,
        TIME,
    ),
    "poison": (
        WORKER,
        Promise("others-done", "Every other message is done.", failing.others_done),
        Promise(
            "few-attempts",
            "Each bad message is delivered at most 10 times.",
            failing.bad_ones_few_times,
        ),
        Promise(
            "set-aside",
            "Each bad message ends in $QUEUE.failed, its body unchanged, once.",
            failing.bad_ones_set_aside,
        ),
        Promise("never-done", "No bad message is said to be done.", failing.bad_ones_never_done),
        Promise(
            "not-held-up",
            "The others are held up by no more than 2 s in all.",
            failing.not_held_up,
        ),
        LEFT,
        TIME,
    ),
    "idempotence": (
        WORKER,
        Promise(
            "exactly-once",
            "Each message is done exactly once over all copies and restarts.",
            losses.exactly_once_though_twice,
            ("lose", "kill"),
        ),
        LEFT,
        TIME,
    ),
    "job-handler": (
        HANDLER,
        Promise(
            "others-go-on",
            "While some deployments are not ready, the others are done.",
            handling.others_go_on,
        ),
        Promise(
            "when-ready",
            "No deployment is done before it is ready.",
            handling.done_when_ready,
        ),
        Promise(
            "few-looks",
            "A deployment that is not ready is delivered at most 10 times until it is.",
            handling.few_looks,
        ),
        Promise("keeps-its-id", "No job is queued anew under another id.", handling.keeps_its_id),
        Promise(
            "exactly-once",
            "Each deployment is done exactly once, although jobs come twice and copies die.",
            handling.good_ones_exactly_once,
            ("cut", "kill"),
        ),
        Promise(
            "set-aside",
            "Each bad job, and no other, ends in $QUEUE.failed, unchanged, once.",
            handling.only_bad_ones_set_aside,
        ),
        LEFT,
        TIME,
        Promise("stops", "It ends within 5 s when it is told to stop.", program.stops),
    ),
    "request-handler": (
        CONSUMER,
        Promise(
            "committed-after-done",
            "No offset is committed past a request that is not done.",
            committing.committed_after_done,
        ),
        Promise(
            "done",
            "Every request is done, although a copy dies.",
            committing.every_request_done,
            ("kill",),
        ),
        Promise(
            "laid-aside",
            "Each bad request ends in $TOPIC.failed, unchanged, and is never done.",
            committing.bad_ones_laid_aside,
        ),
        Promise(
            "in-order",
            "Requests with the same key are done in the order in which they came.",
            committing.in_order,
        ),
        Promise("shared", "Each copy takes part.", committing.each_copy_takes_part),
        Promise("all-committed", "In the end everything is committed.", committing.all_committed),
        Promise(
            "takes-time",
            "No request is done sooner than its work lasts.",
            committing.takes_its_time,
        ),
    ),
    "claim-once": (
        CLAIMER,
        Promise("claimed-once", "No task is claimed twice.", claiming.claimed_once, ("hold",)),
        Promise(
            "done-once",
            "Every task is done, once over all copies.",
            claiming.every_task_done_once,
            ("hold",),
        ),
        Promise("side-by-side", "While one copy works, others claim.", claiming.side_by_side),
        MARKED_AFTER,
        ALL_MARKED,
        TASK_TIME,
    ),
    "lease": (
        CLAIMER,
        Promise("named", "Each claim names its owner: $OWNER.", leasing.names_its_owner),
        Promise(
            "lease-length",
            "A lease ends LEASE seconds after it was taken or extended.",
            leasing.lease_has_its_length,
        ),
        Promise(
            "lease-respected",
            "No task is taken from a copy before its lease has run out.",
            leasing.lease_respected,
            ("hold",),
        ),
        Promise(
            "lease-kept",
            "No copy loses its lease while it works.",
            leasing.lease_kept,
        ),
        Promise(
            "taken-over",
            "What a dead or frozen copy held is taken by another once its lease has run out.",
            leasing.taken_over,
            ("kill", "freeze"),
        ),
        Promise(
            "owner-settles",
            "No copy marks a task as done that another holds by then.",
            leasing.only_its_owner_settles,
            ("freeze",),
        ),
        Promise(
            "done",
            "Every task is done, and again only if its copy was killed or frozen.",
            claiming.every_task_done_once,
            ("kill", "freeze"),
        ),
        MARKED_AFTER,
        ALL_MARKED,
        TASK_TIME,
    ),
    "idempotent-start": (
        CLIENT,
        Promise(
            "started",
            "Every good order is started in the end, and said to be.",
            starting.every_order_started,
            (*LOST, "busy", "hold-request"),
        ),
        Promise(
            "once",
            "No order is started twice.",
            starting.none_started_twice,
            LOST,
        ),
        Promise(
            "one-name",
            "Every try of an order has the same name, and no other order has it.",
            starting.one_name_each,
            ("kill",),
        ),
        Promise(
            "said-when-known",
            "An order is said to be started only when the service has said yes.",
            starting.said_when_known,
        ),
        Promise(
            "refused",
            "The bad order, and no other, is said to be refused, after at most 3 tries.",
            starting.only_bad_ones_refused,
        ),
        Promise(
            "waits-as-told",
            "No order is tried again before the time that Retry-After names is over.",
            starting.waits_as_told,
            ("busy",),
        ),
        Promise("ends", "It ends with status 0.", starting.ends),
    ),
}

PROMISES: Mapping[str, tuple[Promise, ...]] = MappingProxyType(_PROMISES)
"""The promises of each exercise, by its slug."""
