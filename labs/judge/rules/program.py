"""Whether the program is one that can be judged: it starts, connects, declares, stays, stops.

Each rule here says in a sentence what a learner would otherwise have to guess: that
the program crashed and with which words, that it went to another broker or another
queue, that it floods or forks. They are asked in the order in which things go wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.journal import Event
from labs.judge.evidence import last_line, program_life, quoted
from labs.judge.history import History
from labs.judge.lives import Process
from labs.judge.rules import claiming, starting
from labs.judge.rules.finding import KEPT, Finding, Rule, broken, first_of, unknown
from labs.judge.verdicts import Evidence

LOSSES = ("cut", "close-by-broker", "away", "restart", "freeze")
"""What takes a connection from a program."""


def starts(history: History) -> Finding | None:
    """Something was started; a command that cannot be run is an error, and makes no journal."""
    return KEPT if history.processes else unknown("the program was never started")


def is_tame(history: History) -> Finding | None:
    """It did not flood its output, fork without end, or leave children behind."""
    for note in history.noted("flooded", "forked", "escaped"):
        who, data = about(note), note.data
        words = {
            "flooded": f"{who} flooded its standard output ({data.get('lines', 'many')} lines) and "
            "was ended",
            "forked": f"{who} started {data.get('processes', 'many')} processes and was ended",
            "escaped": f"a process that {who} had started lived on when {who} itself was gone",
        }[note.name]
        return broken(
            f"{words[0].upper()}{words[1:]}.", program_life(history, who, more=[(note, words)])
        )
    return KEPT


def does_not_crash(history: History) -> Finding | None:
    """A producer that ends does so with status 0."""
    for process in history.processes:
        crashed = process.exited and process.exited.data.get("status") != 0
        if process.ended_by_itself and crashed:
            return broken(_ended(history, process), _end_of(history, process))
    return KEPT


def stays(history: History) -> Finding | None:
    """A worker runs until it is told to stop. What it does after a loss is judged elsewhere."""
    for process in history.processes:
        if process.ended_by_itself and process.exited and not _lost_before(history, process):
            return broken(_ended(history, process), _end_of(history, process))
    return KEPT


def connects(history: History) -> Finding | None:
    """Each copy connected to the broker at AMQP_URL."""
    for note in history.noted("never-connected"):
        who, elsewhere = about(note), note.data.get("elsewhere")
        if any(connection.copy == who for connection in history.connections):
            continue  # it did so later, such as a producer that read all of its input first
        seen = f"{who} never connected to the broker at {history.address_in}"
        if elsewhere:
            places = elsewhere if isinstance(elsewhere, str) else ", ".join(map(str, elsewhere))
            seen += f"; it was connected to {places} instead. The address has to come from "
            seen += history.address_in
        return broken(seen + ".", program_life(history, who, ending=f"{who} had not connected"))
    return KEPT


def consumes(history: History) -> Finding | None:
    """Each copy consumed $QUEUE, or polled it."""
    for copy in history.copies:
        opened = [c for c in history.connections if c.copy == copy]
        mine = [c for c in history.consumers if c.connection.copy == copy]
        polled = any(connection.copy == copy for connection, _ in history.wire.polls)
        if polled or any(consumer.queue == history.queue for consumer in mine):
            continue
        seen = f"{copy} {'connected, but ' if opened else ''}never consumed $QUEUE, nor polled it"
        if mine:
            seen += f'; it consumed "{mine[0].queue}" instead. The name has to come from QUEUE'
        refusals = [r for r in history.wire.refusals if r.copy == copy]
        if refusals:
            seen += f'. The broker had told it: {refusals[0].code} "{refusals[0].text}"'
        return broken(seen + ".", program_life(history, copy, ending=f"{copy} did not consume"))
    return KEPT


def declares_what_can_be_judged(history: History) -> Finding | None:
    """$QUEUE is neither exclusive nor auto-delete, and no stream."""
    for declared in history.wire.declarations:
        if declared.queue != history.queue or declared.passive:
            continue
        kind = declared.arguments.get("x-queue-type")
        flags = {"exclusive": declared.exclusive, "auto-delete": declared.auto_delete}
        flags["a stream"] = kind == "stream"
        for what, is_so in flags.items():
            if is_so:
                who = declared.connection.copy or "The program"
                seen = f"{who} declared $QUEUE as {what}; the contract wants a queue that stays "
                seen += (
                    "and that others can use: classic or quorum, neither exclusive nor auto-delete."
                )
                words = f"{who} declared $QUEUE as {what}"
                return broken(seen, program_life(history, who, more=[(declared.event, words)]))
    for note in history.noted("locked"):
        seen = "$QUEUE is exclusive: nobody but the program can use it."
        return broken(seen, program_life(history, more=[(note, "$QUEUE is locked")]))
    return KEPT


def stops(history: History) -> Finding | None:
    """It ended within 5 s of SIGTERM."""
    for note in history.noted("not-stopped"):
        who = about(note)
        seen = f"{who} was still there 5 s after SIGTERM, and had to be killed."
        words = f"{who} had not stopped"
        return broken(seen, program_life(history, who, more=[(note, words)]))
    return KEPT


def publishes_as_it_reads(history: History) -> Finding | None:
    """A producer does not wait for the end of its input to publish the first line."""
    ends = history.noted("end-of-input")
    given = [m for m in history.messages.values() if m.given]
    published = history.wire.publishes
    if ends and given and published and published[0].event.n > ends[0].n:
        seen = "It published nothing until its input had ended; a line is to be published when it "
        seen += "comes (does the program read all lines before the first?)."
        more = [(ends[0], "the input ended"), (published[0].began, "the first publish")]
        return broken(seen, program_life(history, more=more))
    return KEPT


def exits_0(history: History) -> Finding | None:
    """A producer exits by itself, with status 0, at the end of its input."""
    end = next(iter(history.noted("end-of-input")), None)
    if not history.processes:
        return unknown("the program was never started")
    process = history.processes[-1]
    if process.exited is None or not process.ended_by_itself:
        if end is None:
            return unknown("its input did not come to an end, for it was stuck before")
        life = program_life(history, process.copy, more=[(end, "the input ended")])
        return broken("It did not exit at the end of its input.", life)
    early = end is None or process.exited.n < end.n
    if early or process.exited.data.get("status") != 0:
        tail = " Its input had not ended by then." if early else ""
        return broken(_ended(history, process) + tail, _end_of(history, process))
    return KEPT


WORKER: Sequence[Rule] = (
    starts,
    is_tame,
    stays,
    connects,
    declares_what_can_be_judged,
    consumes,
    stops,
)
PRODUCER: Sequence[Rule] = (
    starts,
    is_tame,
    does_not_crash,
    connects,
    declares_what_can_be_judged,
    publishes_as_it_reads,
)


HANDLER: Sequence[Rule] = tuple(rule for rule in WORKER if rule is not stops)
"""Who waits in a handler does not stop either; that has a promise of its own, behind the others."""
CONSUMER: Sequence[Rule] = (starts, is_tame, stays, connects, stops)

CLAIMER: Sequence[Rule] = (
    starts,
    is_tame,
    claiming.runs_on,
    claiming.works_on_the_table,
    stops,
)


CLIENT: Sequence[Rule] = (starts, is_tame, starting.sends)


def worker_keeps_contract(history: History) -> Finding:
    """All of it, for a worker."""
    return first_of(history, WORKER)


def producer_keeps_contract(history: History) -> Finding:
    """All of it, for a producer."""
    return first_of(history, PRODUCER)


def handler_keeps_contract(history: History) -> Finding:
    """All of it but the end, for a handler of jobs."""
    return first_of(history, HANDLER)


def consumer_keeps_contract(history: History) -> Finding:
    """All of it, for a consumer of a log."""
    return first_of(history, CONSUMER)


def claimer_keeps_contract(history: History) -> Finding:
    """All of it, for whoever works on the tasks in a table."""
    return first_of(history, CLAIMER)


def client_keeps_contract(history: History) -> Finding:
    """All of it, for a client of the queue service; how it ends has a promise of its own."""
    return first_of(history, CLIENT)


def about(note: Event) -> str:
    """Which copy a note is about."""
    return str(note.copy or note.data.get("copy") or "the program")


def _lost_before(history: History, process: Process) -> bool:
    """Whether its connection had been taken from it, by a fault or by the broker, before it ended.

    To live on after that is promised in `reconnect`, and judged by a rule of its own.
    """
    assert process.exited
    end = process.exited.n
    by_fault = any(
        event.n < end and event.copy in (None, process.copy) for event in history.struck(*LOSSES)
    )
    by_broker = any(
        c.process is process and c.ended and c.ended.n < end and c.ended.data.get("by") == "broker"
        for c in history.connections
    )
    return by_fault or by_broker


def _ended(history: History, process: Process) -> str:
    assert process.exited
    lasted = process.exited.at_s - process.started.at_s
    status = process.exited.data.get("status")
    words = f"{process.copy} ended by itself after {lasted:.1f} s, with status {status}"
    note = next((n for n in history.noted("stderr") if n.copy in (None, process.copy)), None)
    last = last_line(note) if note else ""
    opened = any(connection.process is process for connection in history.connections)
    if history.queue and not opened:  # who reads a log is not watched on the wire
        words += ", and had not connected to AMQP_URL"
    return f'{words}. It said last: "{last}".' if last else f"{words}, without a word of error."


def _end_of(history: History, process: Process) -> Evidence:
    """What the process had in hand when it ended is part of the story."""
    held = [
        d
        for d in history.deliveries
        if d.connection.process is process and d.settled is None and d.done is None
    ]
    more = [(d.event, f"{process.copy} was delivered {quoted(d.message.body)}") for d in held[-3:]]
    return program_life(history, process.copy, more=more)
