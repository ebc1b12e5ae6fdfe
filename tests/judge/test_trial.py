"""What a trial writes down: the order of things, what it found in the end, and why it gave up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from labs.broker.address import Address
from labs.journal import Event
from labs.judge import engine, steps
from labs.judge.bodies import make_bodies, wave
from labs.judge.engine import run_trials
from labs.judge.history import History
from labs.judge.scenarios import SCENARIOS, Scenario
from tests.judge import samples

Run = Callable[..., Sequence[Event]]


@pytest.fixture
def run(broker: Address, tmp_path: Path, labs_home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs one trial of an exercise with a program given as text; its journal."""
    del labs_home

    def run_one(exercise: str, trial: str, source: str, seed: str = "a seed") -> Sequence[Event]:
        file = tmp_path / "program.py"
        file.write_text(source)
        scenario = SCENARIOS[exercise]
        only = tuple(plan for plan in scenario.plans if plan.name == trial)
        one = {exercise: Scenario(exercise, scenario.program, only)}
        monkeypatch.setattr(engine, "SCENARIOS", one)
        (journal,) = run_trials(exercise, [sys.executable, str(file)], broker=broker, seed=seed)
        return journal

    return run_one


def notes(journal: Sequence[Event]) -> dict[str, Event]:
    return {event.name: event for event in journal if event.kind == "note"}


def first(journal: Sequence[Event], kind: str, name: str = "", **data: object) -> Event:
    return next(
        event
        for event in journal
        if event.kind == kind
        and event.name == name
        and all(event.data.get(key) == value for key, value in data.items())
    )


def flat(waves: list[list[str]]) -> list[str]:
    return [body for one in waves for body in one]


def test_a_right_program_leaves_a_journal_in_the_order_in_which_things_happened(run: Run) -> None:
    journal = run("hello-consumer", "messages", samples.WORKER)
    assert journal[0].kind == "run"
    assert journal[0].data["program"] == "worker"
    assert journal[0].data["broker"].startswith("RabbitMQ ")
    assert [event.n for event in journal] == list(range(len(journal)))
    history = History.of(journal)
    assert len(history.messages) == 8
    for message in history.messages.values():
        (delivery,) = message.deliveries
        assert message.published
        assert delivery.done
        assert delivery.settled
        assert message.published.n < delivery.event.n < delivery.done.n < delivery.settled.event.n
    look = first(journal, "queue")
    assert look.data["ready"] == look.data["unacknowledged"] == 0
    assert look.n < first(journal, "signal", "terminate").n < first(journal, "exited").n
    assert "finished" in notes(journal)
    assert not [event for event in journal if event.kind == "left"]


def test_waves_come_one_after_the_other_and_persistent(run: Run) -> None:
    journal = run("hello-consumer", "messages", samples.WORKER)
    published = [event for event in journal if event.kind == "published"]
    assert {event.data["wave"] for event in published} == {1, 2}
    assert len({event.data["message_id"] for event in published}) == len(published)
    last_of_first = History.of(journal).messages[published[4].data["body"]].first_done
    assert last_of_first
    assert last_of_first.event.n < published[5].n
    headers = [e for e in journal if e.kind == "frame" and e.name == "header"]
    assert {event.data["properties"]["delivery_mode"] for event in headers} == {2}


def test_what_is_unacknowledged_while_it_runs_is_seen_and_found_in_the_queue_after_it(
    run: Run,
) -> None:
    journal = run("hello-consumer", "messages", samples.NEVER_ACKS)
    assert notes(journal)["gave-up"].data["waiting_for"] == "settled"
    assert first(journal, "queue").data["unacknowledged"] == 8
    left = [event.data for event in journal if event.kind == "left"]
    assert sorted(one["body"] for one in left) == sorted(History.of(journal).messages)
    assert all(one["redelivered"] and one["message_id"] for one in left)


def test_a_kill_strikes_a_message_in_flight(run: Run) -> None:
    journal = run("acknowledgements", "killed", samples.WORKER)
    kill = first(journal, "signal", "kill")
    body, history = kill.data["body"], History.of(journal)
    assert body in [d.message.body for d in history.in_hand("A", kill)]
    before, after = history.messages[body].deliveries
    assert (before.copy, before.done, after.copy) == ("A", None, "B")
    assert before.event.n < kill.n < after.event.n
    last_wave = [e for e in journal if e.kind == "published" and e.data["wave"] == 2]
    assert all(event.n > kill.n for event in last_wave)


def test_a_frozen_copy_is_given_up_by_the_broker_and_thawed_when_the_other_has_done_its_work(
    run: Run,
) -> None:
    journal = run("acknowledgements", "frozen", samples.WORKER)
    freeze, thaw = first(journal, "signal", "freeze"), first(journal, "signal", "thaw")
    message = History.of(journal).messages[freeze.data["body"]]
    assert freeze.n < first(journal, "disconnected").n < thaw.n
    assert any(said.copy == "B" and freeze.n < said.event.n < thaw.n for said in message.done)


def test_a_freeze_that_the_broker_would_not_notice_is_not_tried(run: Run) -> None:
    source = samples.WORKER.replace(
        "connection = pika.BlockingConnection(pika.URLParameters(os.environ['AMQP_URL']))", ""
    ).replace('os.environ["AMQP_URL"]', 'os.environ["AMQP_URL"] + "?heartbeat=600"')
    journal = run("acknowledgements", "frozen", source)
    missed = notes(journal)["fault-missed"].data
    assert missed["fault"] == "freeze"
    assert "600 s" in missed["why"]


def test_the_same_process_comes_back_after_each_fault(run: Run) -> None:
    """This one does not: both are told, and nothing accuses it of more."""
    journal = run("reconnect", "closed-and-reset", samples.WORKER)
    assert first(journal, "fault", "close-by-broker").data["connections"]
    assert first(journal, "frame", "connection.close", reply_code=320).side == "broker"
    given_up = notes(journal)["gave-up"].data
    assert (given_up["waiting_for"], given_up["why"]) == ("again", "all-ended")


def test_an_acknowledgement_is_lost_and_then_its_sender_killed_and_started_again(run: Run) -> None:
    journal = run("idempotence", "acknowledgement-lost", samples.WORKER)
    lose, kill = first(journal, "fault", "lose"), first(journal, "signal", "kill")
    assert lose.n < kill.n
    started = [event for event in journal if event.kind == "started" and event.copy == "A"]
    assert len(started) == 2
    assert started[1].n > kill.n
    twice = History.of(journal).messages[lose.data["body"]]
    assert len(twice.deliveries) == 2


def test_a_queue_that_is_deleted_is_emptied_before_and_that_counts(run: Run) -> None:
    journal = run("confirms", "unroutable", samples.TRANSACTIONS)
    deleted = first(journal, "fault", "delete-queue")
    left = [event for event in journal if event.kind == "left"]
    assert len(left) == deleted.data["left"] == 5
    assert all(event.n < deleted.n and event.data["before_delete"] for event in left)


def test_a_refusal_is_left_out_for_a_program_that_uses_transactions(run: Run) -> None:
    journal = run("confirms", "refused", samples.TRANSACTIONS)
    assert notes(journal)["left-out"].data["fault"] == "refuse-publish"
    assert "fault-missed" not in notes(journal)
    assert "finished" in notes(journal)


@pytest.mark.parametrize(
    ("source", "note", "why"),
    [
        ("", "gave-up", "all-ended"),
        ("print('hello')", "gave-up", "all-ended"),
        ("while True: print('x' * 70)", "flooded", "flooded"),
        (samples.FORKS, "forked", "forked"),
    ],
    ids=["prints nothing", "ends early", "floods", "forks"],
)
def test_a_program_that_does_something_else_is_told_so(
    run: Run, source: str, note: str, why: str
) -> None:
    journal = run("hello-consumer", "messages", source)
    assert note in notes(journal)
    assert notes(journal)["gave-up"].data["why"] == why


def test_a_program_that_hangs_before_it_connects(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "START_S", 1.0)
    journal = run("hello-consumer", "messages", samples.HANGS)
    assert notes(journal)["never-connected"].data == {"copy": "A", "elsewhere": []}
    assert notes(journal)["gave-up"].data["why"] == "quiet"


def test_a_program_that_goes_to_another_broker_than_it_was_told(
    run: Run, broker: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "START_S", 4.0)
    monkeypatch.setenv("ELSEWHERE", broker.url)
    journal = run("hello-consumer", "messages", samples.GOES_ELSEWHERE)
    elsewhere = notes(journal)["never-connected"].data["elsewhere"]
    assert [peer.rsplit(":", 1)[1] for peer in elsewhere] == [str(broker.port)]


def test_a_program_that_does_not_stop_when_asked(run: Run) -> None:
    journal = run("hello-consumer", "messages", samples.DEAF)
    assert notes(journal)["not-stopped"].copy == "A"
    assert first(journal, "exited").data == {"status": -9, "asked": True}


def test_a_child_that_outlives_the_program_is_told_of(run: Run) -> None:
    journal = run("hello-consumer", "messages", samples.LEAVES_A_CHILD)
    assert len(notes(journal)["escaped"].data["pids"]) == 1


def test_an_exclusive_queue_is_told_of(run: Run) -> None:
    journal = run("hello-consumer", "messages", samples.EXCLUSIVE)
    assert "exclusive" in notes(journal)["locked"].data["why"]


def test_no_password_is_in_a_journal_though_the_program_prints_its_url(run: Run) -> None:
    journal = run("hello-consumer", "messages", samples.TELLS_ITS_URL)
    url = first(journal, "line").data["text"]
    assert url.startswith("amqp://")
    assert ":…@127.0.0.1:" in url
    assert ":…@127.0.0.1:" in notes(journal)["stderr"].data["tail"]


def test_a_seed_repeats_the_bodies_and_another_one_does_not(run: Run) -> None:
    waves = (wave(30, 7, ("bad ", 20)), wave(200))
    assert make_bodies("one", waves) == make_bodies("one", waves)
    assert not set(flat(make_bodies("one", waves))) & set(flat(make_bodies("two", waves)))
    again = [run("hello-consumer", "messages", "", seed="x")[0].data["queue"] for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize("seed", range(25))
def test_bodies_are_what_the_contract_says(seed: int) -> None:
    for scenario in SCENARIOS.values():
        for plan in scenario.plans:
            bodies = flat(make_bodies(f"{seed}", plan.waves))
            lengths = [body.length for one in plan.waves for body in one]
            assert [len(body) for body in bodies] == lengths
            assert len(set(bodies)) == len(bodies)
            assert bodies != sorted(bodies)
            for body in bodies:
                assert 1 <= len(body) <= 200
                assert len(body.encode()) <= 400
                assert body == body.strip() == body.splitlines()[0]


def test_the_exercises_are_those_of_the_contract() -> None:
    assert list(SCENARIOS) == [
        "hello-producer",
        "hello-consumer",
        "work-queue",
        "acknowledgements",
        "durability",
        "fair-dispatch",
        "confirms",
        "reconnect",
        "heartbeats",
        "poison",
        "idempotence",
        "job-handler",
        "request-handler",
        "claim-once",
        "lease",
        "idempotent-start",
    ]
