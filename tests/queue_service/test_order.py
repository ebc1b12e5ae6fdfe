"""Who comes next: priority and age, blockers, lines of a job, collapsing, windows, virtual jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from labs.queue_service.errors import BadMessage, UnknownMessage
from labs.queue_service.messages import COUNTED, State
from labs.queue_service.operations import (
    Discard,
    Find,
    ListMessages,
    Replay,
    Stop,
    StopFrozen,
    Thaw,
    Tick,
)
from labs.queue_service.service import QueueService
from labs.task_queue.errors import ClaimLost
from labs.waiting import wait_until
from tests.queue_service.grounds import (
    TIMEOUT_S,
    Clock,
    ack,
    claim,
    claim_one,
    look,
    nack,
    put,
    start,
    state,
)

NIGHT = "* 0-23 1 3 ?"
"""All of 1 March, which is the day of the tests' clock."""


def ids(service: QueueService, n: int = 9, **options: object) -> list[str]:
    """What is claimed, in order."""
    return [one.id for one in claim(service, n, **options)]


# --- The line -----------------------------------------------------------------------------------


def test_a_higher_priority_goes_first_and_among_equals_the_older(service: QueueService) -> None:
    for build, priority in ((1, 0), (2, 5), (3, -1), (4, 5)):
        put(service, build, build, priority=priority)
    assert ids(service) == ["2", "4", "1", "3"]


def test_starts_that_come_together_keep_their_order_whatever_they_ask_for(
    service: QueueService,
) -> None:
    from labs.queue_service.committer import Asked

    options: list[dict[str, float]] = [{}, {"max_attempts": 9}, {"backoff_s": 1}, {"priority": 1}]
    starts = [start(n, n, **options[n % len(options)]) for n in range(1, 31)]
    with service.store.transaction():  # meanwhile the writer can't go on, and then finds all
        asked = [service._submit(Asked(one)) for one in starts]
    for one in asked:
        one.future.result(TIMEOUT_S)
    first = [one.build_id for one in starts if one.priority]
    then = [one.build_id for one in starts if not one.priority]
    assert [int(id_) for id_ in ids(service, 99)] == first + then


def test_each_build_cluster_has_a_line_of_its_own(service: QueueService) -> None:
    put(service, 1, 1)
    put(service, 2, 2, cluster="gpu")
    assert ids(service, cluster="gpu") == ["2"]
    assert ids(service, cluster="nobody's") == []
    assert ids(service) == ["1"]
    page = service.call(ListMessages(cluster="gpu"))
    assert [message.id for message in page.messages] == ["2"]


def test_clusters_may_be_many(
    sqlite_service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks(*_: object) -> None:
        raise AssertionError("The tables are looked at for a line.")

    monkeypatch.setattr("labs.queue_service.store.LINES_HELD", 3)
    monkeypatch.setattr("labs.task_queue.sql_versions.Schema.prepare", asks)
    for build in range(1, 9):
        put(sqlite_service, build, build, cluster=f"c{build}")
    for build in range(1, 9):
        assert ids(sqlite_service, cluster=f"c{build}") == [str(build)]


def test_a_delayed_message_is_queued_and_not_yet_claimed(service: QueueService) -> None:
    put(service, 1, 1, delay_s=3600)
    found = service.call(Find(id="1"))
    assert (found.message.state, found.position) == (State.QUEUED, None)
    assert found.message.due > datetime.now(UTC) + timedelta(minutes=50)
    assert ids(service) == []
    put(service, 2, 2, delay_s=0.05)
    wait_until(lambda: ids(service) == ["2"], TIMEOUT_S)


def test_a_position_tells_how_many_are_before_one_up_to_a_limit(service: QueueService) -> None:
    for build in range(1, COUNTED + 4):
        put(service, build, build)
    assert service.call(Find(id="1")).position == 1
    assert service.call(Find(id="7")).position == 7
    last = service.call(Find(id=str(COUNTED + 3)))
    assert last.position_at_least
    put(service, 999, 999, priority=9)
    assert service.call(Find(id="999")).position == 1
    claim_one(service)
    assert service.call(Find(id="999")).position is None


def test_the_newest_message_of_a_job_is_found_by_the_job(service: QueueService) -> None:
    put(service, 7, 1)
    put(service, 8, 1)
    put(service, 9, 2)
    assert service.call(Find(job_id=1)).message.id == "8"


# --- Blocked ------------------------------------------------------------------------------------


def test_one_build_of_a_job_runs_at_a_time_and_the_next_is_woken_by_its_end(
    service: QueueService,
) -> None:
    put(service, 1, 7, collapse=False)
    second = put(service, 2, 7, collapse=False)
    third = put(service, 3, 7, collapse=False)
    assert (second.state, second.waits_for) == (State.BLOCKED, 7)
    first = claim_one(service)
    assert ids(service) == []
    ack(service, first)
    assert (state(service, 2), state(service, 3)) == (State.QUEUED, State.BLOCKED)
    ack(service, claim_one(service))
    assert ids(service) == ["3"]
    assert third.created


@pytest.mark.parametrize("end", ["done", "failed", "tried again", "handed back", "stopped"])
def test_a_job_waits_for_another_until_that_runs_no_more(service: QueueService, end: str) -> None:
    put(service, 1, 7, backoff_s=3600)
    running = claim_one(service)
    other = put(service, 2, 8, blocked_by=(8, 7))
    assert (other.state, other.waits_for) == (State.BLOCKED, 7)
    match end:
        case "done":
            ack(service, running)
        case "failed":
            nack(service, running, final=True)
        case "tried again":
            nack(service, running)
        case "handed back":
            nack(service, running, requeue=True)
        case "stopped":
            service.call(Stop(build_id=1))
    woken = look(service, 2)
    assert (woken.state, woken.waits_for) == (State.QUEUED, None)


def test_a_lease_that_runs_out_wakes_who_waits_for_it(service: QueueService) -> None:
    put(service, 1, 7)
    claim_one(service, lease_s=0.01)
    put(service, 2, 8, blocked_by=(8, 7))
    assert state(service, 2) is State.BLOCKED

    def is_woken() -> bool:
        service.call(Tick())
        return state(service, 2) is State.QUEUED

    wait_until(is_woken, TIMEOUT_S)
    assert state(service, 1) is State.QUEUED


def test_a_blocker_that_starts_meanwhile_is_seen_at_the_claim(service: QueueService) -> None:
    put(service, 1, 7)
    put(service, 2, 8, blocked_by=(8, 7))
    put(service, 3, 9)
    assert state(service, 2) is State.QUEUED
    assert ids(service) == ["1", "3"]
    parked = look(service, 2)
    assert (parked.state, parked.waits_for) == (State.BLOCKED, 7)


def test_who_is_woken_has_kept_its_place_in_the_line(service: QueueService) -> None:
    put(service, 1, 7)
    running = claim_one(service)
    put(service, 2, 8, blocked_by=(8, 7))
    put(service, 3, 9)
    put(service, 4, 10, priority=1)
    ack(service, running)
    assert ids(service) == ["4", "2", "3"]


def test_a_job_that_does_not_block_itself_runs_many_builds(service: QueueService) -> None:
    put(service, 1, 7, blocked_by=())
    put(service, 2, 7, blocked_by=(7,), blocked_by_self=False)
    assert ids(service) == ["1", "2"]


def test_blocked_by_same_job_off_lets_the_next_start_after_a_while(
    timed: QueueService, clock: Clock
) -> None:
    put(timed, 1, 7)
    claim_one(timed)
    put(timed, 2, 7, blocked_by_same_job=False, same_job_wait_s=300)
    clock.pass_(seconds=299)
    timed.call(Tick())
    assert state(timed, 2) is State.BLOCKED
    clock.pass_(seconds=1)
    timed.call(Tick())
    assert ids(timed) == ["2"]
    assert state(timed, 1) is State.RUNNING


def test_blocked_by_same_job_off_counts_from_when_the_one_before_it_starts(
    timed: QueueService, clock: Clock
) -> None:
    put(timed, 1, 7)
    put(timed, 2, 7, blocked_by_same_job=False, same_job_wait_s=300)
    clock.pass_(seconds=1000)
    timed.call(Tick())
    assert ids(timed) == ["1"]
    clock.pass_(seconds=301)
    timed.call(Tick())
    assert ids(timed) == ["2"]


def test_more_than_one_transaction_can_wake_are_all_woken(
    service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.queue_service.store_batch.WOKEN_AT_ONCE", 3)
    put(service, 1, 7)
    running = claim_one(service)
    for build in range(2, 12):
        put(service, build, build + 100, blocked_by=(7,))
    ack(service, running)
    wait_until(
        lambda: all(state(service, build) is State.QUEUED for build in range(2, 12)), TIMEOUT_S
    )


# --- Collapsing ---------------------------------------------------------------------------------


def test_a_newer_build_takes_the_place_of_the_one_that_is_blocked(service: QueueService) -> None:
    put(service, 1, 7)
    put(service, 2, 7)
    put(service, 3, 7)
    collapsed = look(service, 2)
    assert (collapsed.state, collapsed.replaced_by) == (State.COLLAPSED, "3")
    assert collapsed.reason == "Collapsed to build: 3"
    ack(service, claim_one(service))
    assert ids(service) == ["3"]


def test_an_older_build_than_one_that_waits_or_has_run_is_not_run(service: QueueService) -> None:
    put(service, 5, 7)
    late = put(service, 4, 7)
    assert (late.state, late.created) == (State.COLLAPSED, True)
    assert look(service, 4).replaced_by == "5"
    ack(service, claim_one(service))
    assert put(service, 3, 7).state is State.COLLAPSED
    assert put(service, 2, 7, collapse=False).state is State.QUEUED


def test_without_collapse_the_oldest_number_goes_first_whenever_it_came(
    service: QueueService,
) -> None:
    for build in (1, 9, 5):
        put(service, build, 7, collapse=False)
    order = []
    while claimed := claim(service):
        order += [one.id for one in claimed]
        ack(service, claimed[0])
    assert order == ["1", "5", "9"]


def test_fifty_starts_of_a_job_at_once_leave_the_first_and_the_newest(
    service: QueueService,
) -> None:
    from labs.queue_service.committer import Asked

    asked = [service._submit(Asked(start(build, 7))) for build in range(1, 51)]
    for one in asked:
        one.future.result(TIMEOUT_S)
    states = [state(service, build) for build in range(1, 51)]
    assert states == [State.QUEUED, *[State.COLLAPSED] * 48, State.BLOCKED]


# --- Stops --------------------------------------------------------------------------------------


def test_a_message_is_stopped_in_each_state(service: QueueService) -> None:
    put(service, 1, 7)
    put(service, 2, 7)
    put(service, 3, 8, freeze_windows=("* 0-22 * * ?", "* 23 * * ?")[:1])
    running = claim_one(service)
    put(service, 4, 9)
    for build, was in ((4, State.QUEUED), (2, State.BLOCKED), (1, State.RUNNING)):
        answer = service.call(Stop(build_id=build))
        assert (answer.was, answer.stopped) == (was, True)
        assert state(service, build) is State.STOPPED
    again = service.call(Stop(build_id=1))
    assert (again.was, again.stopped) == (State.STOPPED, False)
    with pytest.raises(ClaimLost, match="yours no longer: it is stopped"):
        ack(service, running)
    assert "1" not in ids(service)


def test_a_stop_that_comes_before_its_start_keeps_it_from_running(service: QueueService) -> None:
    answer = service.call(Stop(build_id=5, job_id=7))
    assert (answer.was, answer.stopped) == (None, True)
    late = put(service, 5, 7)
    assert (late.created, late.state) == (False, State.STOPPED)
    assert "stopped before it came" in late.note
    assert ids(service) == []


def test_a_stop_that_names_another_job_stops_nothing(service: QueueService) -> None:
    put(service, 5, 7)
    with pytest.raises(BadMessage, match="Build 5 is of job 7, not of job 8") as error:
        service.call(Stop(build_id=5, job_id=8))
    assert error.value.field == "jobId"
    assert state(service, 5) is State.QUEUED


def test_a_stopped_build_lets_the_next_one_of_its_job_run(service: QueueService) -> None:
    put(service, 1, 7, collapse=False)
    put(service, 2, 7, collapse=False)
    put(service, 3, 7, collapse=False)
    service.call(Stop(build_id=2))
    service.call(Stop(build_id=1))
    assert ids(service) == ["3"]


# --- Windows, virtual and disabled jobs ---------------------------------------------------------


def test_a_start_in_a_freeze_window_waits_for_its_end(timed: QueueService, clock: Clock) -> None:
    answer = put(timed, 1, 7, freeze_windows=(NIGHT,))
    assert answer.state is State.FROZEN
    assert answer.until == datetime(2027, 3, 2, tzinfo=UTC)
    assert ids(timed) == []
    clock.pass_(hours=11)
    timed.call(Tick())
    assert state(timed, 1) is State.FROZEN
    clock.pass_(hours=1)
    timed.call(Tick())
    assert ids(timed) == ["1"]


def test_force_start_passes_a_window(timed: QueueService) -> None:
    assert put(timed, 1, 7, freeze_windows=(NIGHT,), force=True).state is State.QUEUED


def test_of_a_job_one_message_is_frozen_the_newest(timed: QueueService) -> None:
    put(timed, 2, 7, freeze_windows=(NIGHT,))
    put(timed, 3, 7, freeze_windows=(NIGHT,))
    put(timed, 1, 7, freeze_windows=(NIGHT,))
    put(timed, 9, 8, freeze_windows=(NIGHT,))
    assert [state(timed, build) for build in (1, 2, 3, 9)] == [
        State.COLLAPSED,
        State.COLLAPSED,
        State.FROZEN,
        State.FROZEN,
    ]
    assert look(timed, 2).replaced_by == "3"
    put(timed, 4, 7, freeze_windows=(NIGHT,), force=True)
    assert (look(timed, 3).state, look(timed, 3).replaced_by) == (State.COLLAPSED, "4")


def test_a_frozen_message_is_released_or_stopped_by_its_job(timed: QueueService) -> None:
    put(timed, 1, 7, freeze_windows=(NIGHT,))
    put(timed, 2, 8, freeze_windows=(NIGHT,))
    released = timed.call(Thaw(job_id=7))
    assert (released.id, released.state, released.created) == ("1", State.QUEUED, False)
    stopped = timed.call(StopFrozen(job_id=8))
    assert (stopped.id, stopped.was) == ("2", State.FROZEN)
    assert not timed.call(StopFrozen(job_id=8)).stopped
    with pytest.raises(UnknownMessage, match="Job 8 has no message that is frozen"):
        timed.call(Thaw(job_id=8))
    assert ids(timed) == ["1"]


def test_what_comes_out_of_a_window_keeps_to_the_rules(timed: QueueService, clock: Clock) -> None:
    put(timed, 1, 7, freeze_windows=(NIGHT,))
    put(timed, 5, 8)
    claim_one(timed)
    put(timed, 2, 9, blocked_by=(9, 8), freeze_windows=(NIGHT,))
    clock.pass_(days=1)
    timed.call(Tick())
    assert (state(timed, 1), state(timed, 2)) == (State.QUEUED, State.BLOCKED)


def test_a_virtual_build_is_done_without_a_worker_as_soon_as_nothing_blocks_it(
    service: QueueService,
) -> None:
    assert put(service, 1, 7, virtual=True).state is State.DONE
    put(service, 2, 8)
    running = claim_one(service)
    assert put(service, 3, 7, virtual=True, blocked_by=(7, 8)).state is State.BLOCKED
    put(service, 4, 7, collapse=False)
    ack(service, running)
    done = look(service, 3)
    assert done.state is State.DONE
    assert done.ended_at is not None
    assert ids(service) == ["4"]


def test_a_virtual_build_with_a_delay_is_done_after_it(timed: QueueService, clock: Clock) -> None:
    assert put(timed, 1, 7, virtual=True, delay_s=60).state is State.QUEUED
    assert ids(timed) == []
    clock.pass_(seconds=61)
    timed.call(Tick())
    assert state(timed, 1) is State.DONE


def test_a_disabled_job_stores_nothing_and_lets_its_frozen_message_go(
    timed: QueueService,
) -> None:
    put(timed, 1, 7, freeze_windows=(NIGHT,))
    answer = put(timed, 2, 7, disabled=True)
    assert (answer.id, answer.created) == ("", False)
    assert "disabled or archived" in answer.note
    assert state(timed, 1) is State.STOPPED
    with pytest.raises(UnknownMessage):
        look(timed, 2)


# --- Failed -------------------------------------------------------------------------------------


def fail(service: QueueService, *builds: int) -> None:
    """Let builds of jobs of their own fail for good."""
    for build in builds:
        put(service, build, build)
        nack(service, claim_one(service), reason=f"no {build}", final=True)


def test_failed_messages_are_listed_replayed_and_discarded(service: QueueService) -> None:
    fail(service, 1, 2, 3, 4)
    put(service, 5, 5)
    failed = service.call(ListMessages(state=State.FAILED))
    assert [(one.id, one.reason) for one in failed.messages][:2] == [("4", "no 4"), ("3", "no 3")]
    assert service.call(Replay(ids=("2", "5", "77"))) == ["2"]
    assert service.call(Discard(ids=("3", "5"))) == ["3"]
    again = look(service, 2)
    assert (again.state, again.attempts, again.reason) == (State.QUEUED, 0, "")
    with pytest.raises(UnknownMessage):
        look(service, 3)
    assert put(service, 3, 3).created
    assert ids(service) == ["2", "5", "3"]


def test_of_a_job_whose_messages_are_forgotten_nothing_is_kept(
    timed: QueueService, clock: Clock
) -> None:
    put(timed, 1, 1, cluster="gpu")
    nack(timed, claim_one(timed, cluster="gpu"), final=True)
    put(timed, 2, 2, cluster="cpu")
    ack(timed, claim_one(timed, cluster="cpu"))
    timed.call(Discard(ids=("1",)))
    clock.pass_(days=8)
    timed.call(Tick())
    timed.call(Tick())
    with timed.store.database.session() as session:
        for table in ("lab_builds", "lab_build_jobs", "lab_build_counts"):
            asked = f"SELECT COUNT(*) FROM {table} WHERE queue = :queue"  # noqa: S608
            ((n,),) = timed.store.run(session, timed.store.database.compiled(asked))
            assert n == 0, table


def test_all_that_has_failed_is_replayed_page_by_page(
    service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.queue_service.service.PAGE", 2)
    fail(service, 1, 2, 3, 4, 5)
    assert service.call(Replay(ids=None)) == ["5", "4", "3", "2", "1"]
    assert ids(service) == ["1", "2", "3", "4", "5"]


def test_a_failed_build_that_is_replayed_waits_for_its_job(service: QueueService) -> None:
    fail(service, 7)
    put(service, 8, 7)
    assert service.call(Replay(ids=("7",))) == ["7"]
    assert (state(service, 7), state(service, 8)) == (State.COLLAPSED, State.QUEUED)


# --- Pages --------------------------------------------------------------------------------------


def test_messages_are_listed_newest_first_page_by_page_by_what_is_asked(
    service: QueueService,
) -> None:
    for build in range(1, 8):
        put(service, build, 1 + build % 2, blocked_by=())
    claim(service, 2)
    first = service.call(ListMessages(limit=3))
    assert [one.id for one in first.messages] == ["7", "6", "5"]
    second = service.call(ListMessages(limit=3, after=first.next))
    third = service.call(ListMessages(limit=3, after=second.next))
    assert [one.id for one in (*second.messages, *third.messages)] == ["4", "3", "2", "1"]
    assert third.next is None
    of_job = service.call(ListMessages(job_id=1, state=State.QUEUED, cluster=""))
    assert [one.id for one in of_job.messages] == ["6", "4"]
    with pytest.raises(BadMessage, match="no place in a list"):
        service.call(ListMessages(after="x"))


def test_a_claim_finds_the_one_message_that_can_run_behind_many_that_can_not(
    service: QueueService,
) -> None:
    put(service, 1, 1)
    for build in range(2, 60):
        put(service, build, build, blocked_by=(1,))
    put(service, 60, 60)
    assert ids(service, 1) == ["1"]
    assert ids(service, 1) == ["60"]
    assert ids(service, 1) == []


def test_a_claim_that_does_not_wait_looks_on_past_what_one_transaction_sees(
    service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.queue_service.service_dispatch.LOOKS", 2)
    monkeypatch.setattr("labs.queue_service.service_dispatch.LOOKED_AT", 2)
    monkeypatch.setattr("labs.queue_service.waiting.LOOK_S", 600)
    put(service, 1, 1)
    for build in range(2, 31):
        put(service, build, build, blocked_by=(1,))
    put(service, 40, 40)
    assert ids(service, 1) == ["1"]
    assert ids(service, 1) == ["40"]
    assert ids(service, 1) == []
