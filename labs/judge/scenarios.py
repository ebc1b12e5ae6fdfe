"""The sixteen exercises as the judge runs them: for each, its trials as data.

A trial is waves of messages, faults on the wire, and steps. Lengths decide how long
the work on a message lasts: those that a fault is aimed at are long enough to be
hit. Counts are multiples of nothing, and what comes after a loss is published
after it. Trials of one exercise run side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from labs.judge.bodies import wave
from labs.judge.job_steps import JobsDone, MakeReady, OthersDone, PublishAgain
from labs.judge.log_steps import AllDone, Append, EachTakesPart, KillAtRequest
from labs.judge.plan import Plan
from labs.judge.service_faults import (
    Busy,
    ComeLate,
    HoldAnswer,
    LoseAnswer,
    LoseRequest,
    Restart,
)
from labs.judge.service_steps import Ends, KillWhileItWaits
from labs.judge.steps import (
    Done,
    DoneAtLength,
    DoneOrFailed,
    EndOfInput,
    Feed,
    Publish,
    Ready,
    Sent,
    Start,
)
from labs.judge.strikes import (
    Away,
    CloseByBroker,
    DeleteQueue,
    FreezeAtWork,
    KillAfterLostAck,
    KillAtWork,
    Reset,
    RestartBroker,
    Struck,
)
from labs.judge.table_steps import (
    Contend,
    FreezeAtTask,
    HoldAtWork,
    KillAtTask,
    Put,
    StartAtWork,
    TasksDone,
)
from labs.judge.table_steps import EachTakesPart as EachTakesTasks
from labs.proxy.faults import (
    CLIENT,
    AskHeartbeat,
    ConfirmTogether,
    Cut,
    Lose,
    Moment,
    RefusePublish,
)


class On(Enum):
    """What the trials of an exercise run on."""

    RABBITMQ = "RabbitMQ"
    JOBS = "RabbitMQ, with jobs as messages"
    LOG = "a partitioned log"
    TABLE = "a table of tasks in a database"
    SERVICE = "a queue service by REST"


@dataclass(frozen=True)
class Scenario:
    """How one exercise is tried."""

    slug: str
    program: str
    """`worker` or `producer`; `handler` of jobs; `consumer` of a log; `claimer` of tasks;
    `client` of a queue service."""
    plans: tuple[Plan[Any], ...]
    """All of the kind that its ground asks for."""
    ground: On = On.RABBITMQ

    @property
    def needs_rabbitmq(self) -> bool:
        """Whether its trials run on the lab's broker; else they make their own ground."""
        return self.ground in (On.RABBITMQ, On.JOBS)


TWO = ("A", "B")
BEGIN = (Start(), Ready(), Publish(0))
LINES = wave(23, 7, 41, 11, 5, 64, 17)
FED = (Start(), Feed(0), Sent(), Feed(1, crlf_at=1), Sent(), Feed(2), EndOfInput())

HELLO_PRODUCER = Plan("lines", FED, (LINES, wave(13, 38, 6), wave(29, 9, 52)))

HELLO_CONSUMER = Plan(
    "messages",
    (*BEGIN, Done(settled=False), Publish(1), Done()),
    (wave(19, 6, 31, 12, 44), wave(8, 27, 15)),
)

WORK_QUEUE = Plan(
    "two-copies",
    (*BEGIN, Done(settled=False), Publish(1), Done()),
    (wave(22, 35, 14, 28, 9, 31, 18), wave(26, 12, 33, 20)),
    TWO,
)

HEAVY = wave(38, 55, 42, 60, 35, 51, 47)
LATER = wave(24, 37, 18, 29)
KILLED = Plan("killed", (*BEGIN, KillAtWork("A"), Publish(1), Done()), (HEAVY, LATER), TWO)
FROZEN = Plan(
    "frozen",
    (*BEGIN, FreezeAtWork("A"), Publish(1), Done()),
    (HEAVY, LATER),
    TWO,
    (AskHeartbeat(1),),
)

DURABILITY = Plan(
    "restarted",
    (*FED, RestartBroker()),
    (LINES, wave(13, 38, 6), wave(29, 9, 52)),
    restarts=True,
)

FAIR_DISPATCH = Plan(
    "long-and-short",
    (*BEGIN, Done(settled=False), Publish(1), Done()),
    (wave(61, 4, 66, 5, 58, 6, 63, 4, 5, 7, 6), wave(5, 47, 4, 6, 7)),
    TWO,
    delay_s=0.02,
)

BATCHES = (wave(21, 8, 47, 13, 33), wave(17, 39, 6, 25))
TWO_BATCHES = (Start(), Feed(0), Sent(), Feed(1), Sent(), EndOfInput())
CONFIRMS = (
    Plan(
        "cut",
        (*TWO_BATCHES, Struck("cut", "the program published too little")),
        BATCHES,
        faults=(
            Cut(Moment("basic.publish", CLIENT, nth=3), hold_s=0.5),
            ConfirmTogether(n=3, within_s=0.05),
        ),
    ),
    Plan(
        "refused",
        (
            *TWO_BATCHES,
            Struck(
                "refuse-publish",
                "the program asked for no confirms, so that none could be refused",
                not_for_transactions=True,
            ),
        ),
        BATCHES,
        faults=(RefusePublish(nth=3), ConfirmTogether(n=2, within_s=0.05)),
    ),
    Plan(
        "unroutable",
        (Start(), Feed(0), Sent(), DeleteQueue(), Feed(1), Sent(), EndOfInput()),
        BATCHES,
    ),
)

PHASES = (wave(14, 33, 41, 28, 37), wave(31, 26, 39), wave(22, 17, 29))
RECONNECT = (
    Plan(
        "closed-and-reset",
        (*BEGIN, CloseByBroker(), Publish(1), Reset(), Publish(2), Done()),
        PHASES,
    ),
    Plan("away", (*BEGIN, Away(), Publish(1), Done()), PHASES[:2]),
)

HEARTBEATS = Plan(
    "long-work",
    (*BEGIN, DoneAtLength(), Publish(1), Done()),
    (wave(9, 200, 6, 13), wave(11, 5)),
    faults=(AskHeartbeat(1),),
    delay_s=0.03,
)

POISON = Plan(
    "bad-ones",
    (*BEGIN, DoneOrFailed(), Publish(1), DoneOrFailed()),
    (
        wave(24, ("bad ", 21), 17, 31, ("not bad ", 26), ("bad", 12), 19),
        wave(22, ("bad: ", 29), 15, ("not bad", 20)),
    ),
    TWO,
)

IDEMPOTENCE = (
    Plan(
        "acknowledgement-lost",
        (*BEGIN, KillAfterLostAck("A"), Start(("A",)), Ready(), Publish(1), Done()),
        (wave(25, 31, 18, 36, 22, 28, 15), wave(20, 27, 33, 16)),
        TWO,
        (Lose(Moment("basic.ack", CLIENT, door="A", nth=2)),),
        keeps_state=True,
    ),
    Plan(
        "killed-at-work",
        (*BEGIN, KillAtWork("A"), Start(("A",)), Ready(), Publish(1), Done()),
        (HEAVY, LATER),
        TWO,
        keeps_state=True,
    ),
)

# More are not ready than the handlers that two copies have for one type, unless they ask for many.
JOB_HANDLER = (
    Plan(
        "not-ready",
        (
            *BEGIN,
            OthersDone(),
            MakeReady(),
            PublishAgain(3),
            Publish(1),
            JobsDone(),
        ),
        (
            wave(
                19,
                24,
                17,
                22,
                26,
                21,
                18,
                25,
                23,
                20,
                16,
                22,
                19,
                28,
                31,
                ("bad ", 21),
                26,
                ("not bad ", 24),
                33,
                27,
                ("bad: ", 25),
                22,
            ),
            wave(21, 25, ("bad", 18), 19),
        ),
        TWO,
        keeps_state=True,
        unready=13,
    ),
    Plan(
        "acknowledgement-lost",
        (
            *BEGIN,
            KillAfterLostAck("A", "cut"),
            Start(("A",)),
            Ready(),
            Publish(1),
            PublishAgain(4),
            JobsDone(),
        ),
        (wave(25, 31, 18, 36, 22, 28, 15, 33, 27, 24), wave(20, 27, 33, 16)),
        TWO,
        (Cut(Moment("basic.ack", CLIENT, door="A", nth=2), before=True, hold_s=10.0),),
        keeps_state=True,
    ),
    Plan(
        "killed-at-work",
        (*BEGIN, KillAtWork("A"), Start(("A",)), Ready(), Publish(1), JobsDone()),
        (
            wave(38, 55, 42, 60, 35, 51, 47, 44, 58, 40, 53, 37, 49, 45, 57, 41),
            LATER,
        ),
        TWO,
        keeps_state=True,
        delay_s=0.015,
    ),
)

# Of what is there before the first copy, each partition has a part. Small waves follow until each
# copy has had one. The long request lasts longer than the 5 s after which clients commit by clock.
SMALL = (wave(11, 9, 14, 8),) * 6
EACH = EachTakesPart(tuple(range(1, 7)))
REQUEST_HANDLER = (
    Plan(
        "killed",
        (
            Append(0),
            Start(),
            EACH,
            Append(7),
            KillAtRequest("A"),
            Start(("A",)),
            AllDone(),
            Append(8),
            AllDone(committed=True),
        ),
        (
            wave(31, 26, 34, 29, 28, 33, 27, 30),
            *SMALL,
            wave(43, 38, 46, 41, 39, 44, ("bad ", 24), 40, 37, 42, 36, 45, 38, 41),
            wave(22, ("not bad ", 25), 18, ("bad: ", 19), 24, 17, 21),
        ),
        TWO,
    ),
    Plan(
        "long-work",
        (Append(0), Start(), EACH, Append(7), AllDone(), Append(8), AllDone(committed=True)),
        (wave(24, 19, 27, 22, 21), *SMALL, wave(187, 15, 23, 18, 26), wave(14, 20, 17, 12, 16)),
        TWO,
        delay_s=0.03,
    ),
)

# Each wave of a kind is for one more try; most runs need the first ones only.
THREE = ("A", "B", "C")
TINY = (wave(12, 9, 14),) * 6
CLAIM_ONCE = Plan(
    "contended",
    (
        Put(0),
        Start(),
        EachTakesTasks(tuple(range(1, 7))),
        HoldAtWork(7),
        Contend(tuple(range(8, 12)), enough=2),
        TasksDone(),
    ),
    (wave(24, 17, 21, 19), *TINY, wave(38, 44, 41), *(wave(22, 9, 17, 12, 25, 14, 20),) * 4),
    THREE,
)

# The work on the first of a wave is what the fault is aimed at: it lasts longer than a lease, and
# so does what the other copy has meanwhile, where that is to be seen.
LEASE_S = 1.5
SHORT = (wave(8, 11),) * 6
TAKING_PART = (Put(0), Start(), EachTakesTasks(tuple(range(1, 7))))
LEASE = (
    Plan(
        "long-work",
        (*TAKING_PART, Put(7), TasksDone(), Put(8), TasksDone()),
        (wave(9, 13, 7), *SHORT, wave(160, 21, 14), wave(10, 16, 6)),
        TWO,
        delay_s=0.02,
        lease_s=LEASE_S,
    ),
    Plan(
        "killed",
        (
            *TAKING_PART,
            Put(7),
            KillAtTask(7),
            StartAtWork(),
            TasksDone(),
            Contend((8, 9, 10, 11), left_by="Z-5e0d11"),
        ),
        (wave(9, 13, 7), *SHORT, wave(78, 170, 9), *(wave(10, 16, 6),) * 4),
        TWO,
        delay_s=0.02,
        lease_s=LEASE_S,
    ),
    Plan(
        "frozen",
        (*TAKING_PART, Put(7), FreezeAtTask(7), TasksDone(), Put(8), TasksDone()),
        (wave(9, 13, 7), *SHORT, wave(85, 14, 22), wave(10, 16, 6, 12)),
        TWO,
        delay_s=0.02,
        lease_s=LEASE_S,
    ),
)

# Each fault is for one order, by its place in the file; what comes late is early in it, for whoever
# waits for ever is to be known soon. The lengths are those of the jobs' names.
IDEMPOTENT_START = (
    Plan(
        "answers-lost",
        (Start(), Ends()),
        (wave(24, 31, 27, 22, 35, 19, 29, 26),),
        keeps_state=True,
        service_faults=(ComeLate(1), LoseAnswer(3), LoseRequest(6)),
        alike=(4, 5),
        bad=2,
    ),
    Plan(
        "restarted",
        (Start(), Ends()),
        (wave(28, 21, 33, 25, 30, 23),),
        keeps_state=True,
        service_faults=(Restart(1, away_s=1.0), Busy(3, for_s=2)),
        alike=(2, 4),
    ),
    Plan(
        "killed",
        (Start(), KillWhileItWaits(), KillWhileItWaits(), Ends()),
        (wave(26, 30, 22, 34, 27, 20, 32),),
        keeps_state=True,
        service_faults=(HoldAnswer(2, committed=True), HoldAnswer(4, committed=False)),
        alike=(1, 5),
    ),
)

SCENARIOS: Mapping[str, Scenario] = {
    scenario.slug: scenario
    for scenario in (
        Scenario("hello-producer", "producer", (HELLO_PRODUCER,)),
        Scenario("hello-consumer", "worker", (HELLO_CONSUMER,)),
        Scenario("work-queue", "worker", (WORK_QUEUE,)),
        Scenario("acknowledgements", "worker", (KILLED, FROZEN)),
        Scenario("durability", "producer", (DURABILITY,)),
        Scenario("fair-dispatch", "worker", (FAIR_DISPATCH,)),
        Scenario("confirms", "producer", CONFIRMS),
        Scenario("reconnect", "worker", RECONNECT),
        Scenario("heartbeats", "worker", (HEARTBEATS,)),
        Scenario("poison", "worker", (POISON,)),
        Scenario("idempotence", "worker", IDEMPOTENCE),
        Scenario("job-handler", "handler", JOB_HANDLER, On.JOBS),
        Scenario("request-handler", "consumer", REQUEST_HANDLER, On.LOG),
        Scenario("claim-once", "claimer", (CLAIM_ONCE,), On.TABLE),
        Scenario("lease", "claimer", LEASE, On.TABLE),
        Scenario("idempotent-start", "client", IDEMPOTENT_START, On.SERVICE),
    )
}
"""By slug, in the order of the exercises."""


def needs_rabbitmq(slug: str) -> bool:
    """The same, of an exercise by its slug."""
    return SCENARIOS[slug].needs_rabbitmq
