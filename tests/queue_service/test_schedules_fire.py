"""Schedules: once however many instances tick, once after an outage, and what is kept how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from labs.queue_service.cron import hashed
from labs.queue_service.errors import BadMessage, UnknownMessage
from labs.queue_service.messages import Schedule, State
from labs.queue_service.operations import (
    DeleteSchedule,
    Find,
    GetSamples,
    GetStats,
    ListMessages,
    ListSchedules,
    PutSchedule,
    Start,
    Tick,
)
from labs.queue_service.service import QueueService
from labs.queue_service.store_tables import STEPS
from labs.task_queue.errors import BadTask
from labs.waiting import wait_until
from tests.queue_service.grounds import (
    NOON,
    TIMEOUT_S,
    Clock,
    Ground,
    ack,
    claim,
    claim_one,
    look,
    nack,
    put,
    start,
    state,
)

HOURLY = "H * * * *"


def plan(service: QueueService, job_id: int = 7, **options: object) -> Schedule:
    """Let a job start every hour."""
    asked = {"cron": HOURLY, "body": {"jobId": job_id}, "job_name": "nightly"} | options
    made = service.call(PutSchedule(job_id=job_id, **asked))  # type: ignore[arg-type]
    assert made is not None
    return made


def runs(service: QueueService) -> list[str]:
    """The ids of all messages, oldest first."""
    return [one.id for one in service.call(ListMessages(limit=100)).messages][::-1]


def test_a_schedule_makes_a_message_at_its_time_and_tells_the_next(
    timed: QueueService, clock: Clock
) -> None:
    made = plan(timed)
    minute = int(hashed(HOURLY, 7).split()[0])
    first = NOON.replace(minute=minute)
    assert (made.next_run, made.last_run, made.hashed) == (first, None, hashed(HOURLY, 7))
    clock.now = first - timedelta(seconds=1)
    timed.call(Tick())
    assert runs(timed) == []
    clock.now = first
    timed.call(Tick())
    timed.call(Tick())
    assert runs(timed) == [f"7@{first:%Y-%m-%dT%H:%M:%SZ}"]
    message = look(timed, runs(timed)[0])
    assert (message.build_id, message.job_id, message.job_name) == (None, 7, "nightly")
    assert message.body == {"jobId": 7}
    (listed,) = timed.call(ListSchedules())
    assert (listed.next_run, listed.last_run) == (first + timedelta(hours=1), first)


def test_two_services_that_tick_side_by_side_fire_once(postgres_ground: Ground) -> None:
    clock = postgres_ground.clock
    services = [postgres_ground.open(clock=clock).start_ticking() for _ in range(2)]
    for job in range(1, 6):
        plan(services[0], job)
    clock.now = NOON + timedelta(hours=1)
    wait_until(lambda: len(runs(services[0])) == 5, TIMEOUT_S)
    clock.now = NOON + timedelta(hours=2)
    wait_until(lambda: len(runs(services[0])) == 10, TIMEOUT_S)
    for service in services:
        service.call(Tick())
    assert len(runs(services[1])) == 10
    assert len(set(runs(services[1]))) == 10


def test_runs_that_an_outage_has_missed_fire_once(ground: Ground) -> None:
    with ground.open(clock=ground.clock) as service:
        made = plan(service)
    ground.clock.pass_(hours=30)
    service = ground.open(clock=ground.clock)
    service.call(Tick())
    assert runs(service) == [f"7@{made.next_run:%Y-%m-%dT%H:%M:%SZ}"]
    (listed,) = service.call(ListSchedules())
    assert listed.next_run > ground.clock.now
    assert listed.next_run - ground.clock.now <= timedelta(hours=1)


def test_a_schedule_that_can_start_nothing_keeps_nobody_else_from_starting(
    timed: QueueService, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    plan(timed, 1, template=start(0, 1, freeze_windows=("not admitted",)))
    plan(timed, 2)
    clock.pass_(hours=1)
    timed.call(Tick())
    assert [id_.partition("@")[0] for id_ in runs(timed)] == ["2"]
    assert "The schedule of job 1 has started nothing" in caplog.text
    assert all(one.next_run > clock.now for one in timed.call(ListSchedules()))


def test_a_schedule_for_a_cluster_that_can_not_be_is_refused(timed: QueueService) -> None:
    with pytest.raises(BadTask, match="1 to 128 characters"):
        plan(timed, template=start(0, 7, cluster="c" * 200))
    assert timed.call(ListSchedules()) == []


def test_time_goes_on_after_a_tick_that_failed_in_an_unforeseen_way(
    service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = []

    def fails(*_: object, **__: object) -> bool:
        ticks.append(1)
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("labs.queue_service.service.TICK_S", 0.01)
    monkeypatch.setattr("labs.queue_service.service_ticks.tick", fails)
    service.start_ticking()
    wait_until(lambda: len(ticks) > 2, TIMEOUT_S)


def test_a_schedule_is_replaced_and_taken_away(timed: QueueService, clock: Clock) -> None:
    plan(timed)
    plan(timed, cron="H H(3-4) * * *", time_zone="Europe/Berlin")
    (listed,) = timed.call(ListSchedules())
    assert (listed.cron, listed.time_zone) == ("H H(3-4) * * *", "Europe/Berlin")
    assert timed.call(DeleteSchedule(job_id=7)) is True
    assert timed.call(DeleteSchedule(job_id=7)) is False
    plan(timed)
    assert timed.call(PutSchedule(job_id=7, cron=None, body={})) is None
    clock.pass_(days=3)
    timed.call(Tick())
    assert runs(timed) == []


def test_a_cron_that_can_not_be_meant_leaves_the_schedule_as_it_was(timed: QueueService) -> None:
    made = plan(timed)
    with pytest.raises(BadMessage):
        plan(timed, cron="H H * *")
    with pytest.raises(BadMessage):
        plan(timed, time_zone="Europe/Nowhere")
    assert timed.call(ListSchedules()) == [made]


def test_a_trigger_starts_the_job_at_once_too(timed: QueueService) -> None:
    plan(timed, trigger=True)
    assert runs(timed) == ["7@2027-03-01T12:00:00Z"]
    assert claim_one(timed).job_id == 7


def test_runs_are_enqueued_as_their_template_says(timed: QueueService, clock: Clock) -> None:
    template = Start(
        build_id=1,
        job_id=7,
        body={},
        blocked_by=(7, 8),
        cluster="gpu",
        priority=3,
        freeze_windows=("* * 2 3 ?",),
    )
    plan(timed, template=template)
    put(timed, 20, 8)
    claim_one(timed)
    clock.pass_(hours=1)
    timed.call(Tick())
    (message,) = timed.call(ListMessages(job_id=7)).messages
    assert (message.cluster, message.priority, message.blocked_by) == ("gpu", 3, (7, 8))
    assert (message.state, message.waits_for) == (State.BLOCKED, 8)
    clock.now = datetime(2027, 3, 2, 12, tzinfo=UTC)
    timed.call(Tick())
    assert timed.call(Find(job_id=7)).message.state is State.FROZEN


def test_a_run_takes_the_place_of_the_one_before_it_that_still_waits(
    timed: QueueService, clock: Clock
) -> None:
    put(timed, 20, 7)
    running = claim_one(timed)
    plan(timed)
    for _ in range(3):
        clock.pass_(hours=1)
        timed.call(Tick())
    assert [state(timed, id_) for id_ in runs(timed)] == [
        State.RUNNING,
        State.COLLAPSED,
        State.COLLAPSED,
        State.BLOCKED,
    ]
    ack(timed, running)
    assert [one.id for one in claim(timed, 5)] == runs(timed)[-1:]


# --- What is kept how long ----------------------------------------------------------------------


def test_what_has_ended_is_kept_for_a_while_and_then_forgotten_with_all_of_it(
    ground: Ground, clock: Clock
) -> None:
    service = ground.open(clock=clock, keep=timedelta(hours=2))
    for build in (1, 2, 3, 4):
        put(service, build, build, idempotency_key=f"k{build}", fingerprint="a")
    ack(service, claim_one(service))
    nack(service, claim_one(service), final=True)
    claim_one(service)
    clock.pass_(hours=1.9)
    service.call(Tick())
    assert len(runs(service)) == 4
    clock.pass_(hours=0.2)
    service.call(Tick())
    assert runs(service) == ["3", "4"]
    with pytest.raises(UnknownMessage):
        look(service, 1)
    store = service.store
    clock.pass_(days=2)
    service.call(Tick())
    tables = {"lab_tasks": 2, "lab_build_jobs": 2, "lab_build_keys": 0}
    with store.database.session() as session:
        for table, n in tables.items():
            counted = f"SELECT COUNT(*) FROM {table} WHERE queue = :queue"  # noqa: S608
            asked = store.database.compiled(counted)
            assert session.run(asked, {"queue": store.name})[0][0] == n, table
    assert put(service, 1, 1).created


def test_the_curve_has_a_sample_every_few_seconds_whoever_ticks(ground: Ground) -> None:
    clock = ground.clock
    services = [ground.open(clock=clock), ground.open(clock=clock)]
    for second in range(11):
        clock.now = NOON + timedelta(seconds=second)
        for service in services:
            service.call(Tick())
        put(services[0], second + 1, second + 1)
    samples = services[0].call(GetSamples(since=NOON))
    assert [sample.at for sample in samples] == [NOON + timedelta(seconds=s) for s in (0, 5, 10)]
    assert [sample.counts[State.QUEUED] for sample in samples] == [0, 5, 10]
    assert services[0].call(GetSamples(since=NOON + timedelta(seconds=6)))[0].at > NOON
    clock.pass_(days=2)
    services[0].call(Tick())
    assert len(services[0].call(GetSamples(since=NOON))) == 1


def test_a_service_that_ticks_does_what_time_brings_by_itself(ground: Ground) -> None:
    service = ground.open(clock=ground.clock).start_ticking()
    plan(service)
    ground.clock.pass_(hours=1)
    wait_until(lambda: service.call(GetStats()).counts[State.QUEUED] == 1, TIMEOUT_S)


def test_there_is_one_version_of_the_tables_for_each_database() -> None:
    assert {len(steps) for steps in STEPS.values()} == {1}
