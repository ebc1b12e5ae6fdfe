"""However a check ends, nothing of it is left: no process, vhost, user, port, folder, note."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from labs.broker.address import Address
from labs.broker.management import Management
from labs.errors import BadInput, BrokerFailed, BrokerUnreachable
from labs.judge import engine, strikes
from labs.judge.bodies import wave
from labs.judge.engine import check, run_trials
from labs.judge.family import MARKER
from labs.judge.leftovers import notes_folder
from labs.judge.plan import Plan
from labs.judge.program import CannotStart
from labs.judge.scenarios import Scenario
from labs.judge.steps import Start
from labs.judge.trial import Trial
from labs.judge.verdicts import Outcome
from labs.waiting import wait_until
from tests.judge import samples

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Left:
    """What checks make outside their own process."""

    vhosts: frozenset[str]
    users: frozenset[str]
    processes: frozenset[int]
    folders: frozenset[str]
    notes: frozenset[str]


@pytest.fixture
def home(labs_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notes and one for temporary files that no other test uses."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("OF_THIS_TEST", str(labs_home))
    return labs_home


def left(broker: Address, home: Path) -> Left:
    """Only what is of this test: others may be checking at the same time."""
    with Management(broker) as management:
        vhosts = {str(one["name"]) for one in management.vhosts()}
        users = {str(one["name"]) for one in management.users()}
    processes = set()
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if MARKER in environment and environment.get("OF_THIS_TEST") == str(home):
            processes.add(process.pid)
    noted = "".join(path.read_text() for path in notes_folder().glob("*.json"))
    return Left(
        vhosts=frozenset(name for name in vhosts if name in noted and name.startswith("labs-")),
        users=frozenset(name for name in users if name in noted and name.startswith("labs-")),
        processes=frozenset(processes),
        folders=frozenset(str(path) for path in Path(tempfile.gettempdir()).iterdir()),
        notes=frozenset(path.name for path in notes_folder().glob("*.json")),
    )


NOTHING = Left(frozenset(), frozenset(), frozenset(), frozenset(), frozenset())


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    """A worker that is right."""
    return command(tmp_path, samples.WORKER)


def command(folder: Path, source: str) -> list[str]:
    file = folder / "program.py"
    file.write_text(source)
    return [sys.executable, str(file)]


@pytest.fixture
def judging(broker: Address, tmp_path: Path, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A check in a process of its own, whose program is at work and will be for long."""
    never_done = "    while True: time.sleep(0.1); print('busy', flush=True)\n    time.sleep("
    endless = samples.WORKER.replace("    time.sleep(", never_done)
    script = tmp_path / "judge.py"
    script.write_text(
        textwrap.dedent(
            f"""
            from labs.broker.address import Address
            from labs.judge.engine import run_trials
            broker = Address({broker.host!r}, {broker.port}, {broker.vhost!r}, {broker.username!r},
                             {broker.password!r}, management_url={broker.management_url!r})
            command = {command(tmp_path, endless)!r}
            run_trials("hello-consumer", command, broker=broker, seed="s")
            """
        )
    )
    judge = subprocess.Popen(
        [sys.executable, str(script)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )

    def at_work() -> bool:
        assert judge.poll() is None
        return bool(left(broker, home).processes and left(broker, home).vhosts)

    wait_until(at_work, 60.0)
    yield judge
    judge.kill()
    judge.wait()


def listening() -> set[int]:
    """The ports on which this very process listens."""
    connections = psutil.Process().net_connections("tcp")
    return {one.laddr.port for one in connections if one.status == "LISTEN"}


def test_a_check_judges_and_leaves_nothing(broker: Address, program: list[str], home: Path) -> None:
    before = listening()
    run = check("hello-consumer", program, broker=broker, seed="s")
    assert run.report.outcome is Outcome.KEPT
    assert run.report.took_s > 0
    assert [journal[0].data["trial"] for journal in run.journals] == ["messages"]
    assert left(broker, home) == NOTHING
    assert listening() <= before


def test_trials_of_one_exercise_have_a_journal_each(
    broker: Address, program: list[str], home: Path
) -> None:
    told: list[str] = []
    journals = run_trials(
        "acknowledgements", program, broker=broker, seed="s", progress=told.append
    )
    assert [journal[0].data["trial"] for journal in journals] == ["killed", "frozen"]
    assert told == ["acknowledgements: the trials killed, frozen, side by side"]
    assert left(broker, home) == NOTHING


def looks_away(monkeypatch: pytest.MonkeyPatch, *trials: str) -> None:
    """In the first try of these trials, the judge never sees the copy at work."""
    seen: set[str] = set()
    see = strikes.in_the_middle

    def look(trial: Trial, *rest: Any) -> bool:
        plan = trial.plan.name
        if plan in trials and (plan not in seen or getattr(trial, "blind", False)):
            seen.add(plan)
            trial.blind = True  # type: ignore[attr-defined]
            return False
        return see(trial, *rest)

    monkeypatch.setattr(strikes, "in_the_middle", look)


def test_a_trial_whose_fault_came_too_late_is_run_again(
    broker: Address, program: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks_away(monkeypatch, "killed")
    told: list[str] = []
    run = check("acknowledgements", program, broker=broker, seed="s", progress=told.append)
    assert run.report.outcome is Outcome.KEPT
    assert [journal[0].data["trial"] for journal in run.journals] == ["killed", "frozen"]
    assert told == [
        "acknowledgements: the trials killed, frozen, side by side",
        "acknowledgements: a fault came too late, so once more:",
        "acknowledgements: the trial killed",
    ]
    assert left(broker, home) == NOTHING


def test_a_program_that_broke_a_promise_is_not_run_again(
    broker: Address, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks_away(monkeypatch, "killed", "frozen")
    told: list[str] = []
    hasty = command(tmp_path, samples.ACKS_FIRST)
    run = check("acknowledgements", hasty, broker=broker, seed="s", progress=told.append)
    assert run.report.outcome is Outcome.BROKEN
    assert len(told) == 1
    assert left(broker, home) == NOTHING


def test_on_a_class_server_the_trials_use_queues_of_their_own_and_say_what_cannot_be_tried(
    broker: Address, vhost: Address, program: list[str], home: Path
) -> None:
    """Its user is no administrator: nobody may close another's connection there."""
    closed, away = run_trials("reconnect", program, broker=vhost, seed="s")
    told = {event.data["fault"] for event in closed if event.name == "not-possible-here"}
    assert told == {"close-by-broker"}
    assert [event.name for event in away if event.kind == "fault"] == ["away", "cut", "back"]
    with Management(broker) as management:
        assert management.queues(vhost.vhost) == []
    assert left(broker, home) == NOTHING


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_check_that_is_interrupted_leaves_nothing(
    broker: Address, judging: subprocess.Popen[bytes], home: Path, number: signal.Signals
) -> None:
    judging.send_signal(number)
    assert judging.wait(30.0) != 0
    assert left(broker, home) == NOTHING


def test_what_a_killed_check_left_the_next_one_removes(
    broker: Address, judging: subprocess.Popen[bytes], program: list[str], home: Path
) -> None:
    judging.kill()
    judging.wait()
    assert left(broker, home).vhosts
    assert left(broker, home).users
    assert left(broker, home).notes
    run_trials("hello-consumer", program, broker=broker, seed="s")
    assert left(broker, home) == NOTHING


def test_a_check_that_runs_is_left_alone_by_the_next_one(
    broker: Address, judging: subprocess.Popen[bytes], program: list[str], home: Path
) -> None:
    before = left(broker, home)
    run_trials("hello-consumer", program, broker=broker, seed="s")
    assert judging.poll() is None
    assert left(broker, home).vhosts == before.vhosts
    assert left(broker, home).processes == before.processes


def test_a_command_that_cannot_be_started_is_told_and_leaves_nothing(
    broker: Address, home: Path
) -> None:
    with pytest.raises(CannotStart, match="no-such-program"):
        run_trials("acknowledgements", ["no-such-program"], broker=broker, seed="s")
    assert left(broker, home) == NOTHING


def test_an_exercise_that_is_none(broker: Address, program: list[str]) -> None:
    with pytest.raises(BadInput, match="juggling"):
        check("juggling", program, broker=broker, seed="s")


def test_a_broker_that_does_not_answer_is_told_before_the_first_trial(
    program: list[str], home: Path
) -> None:
    del home
    with pytest.raises(BrokerUnreachable):
        check("hello-consumer", program, broker=Address("127.0.0.1", 1), seed="s")


@dataclass(frozen=True)
class Fail:
    """A step in which something breaks."""

    error: Exception

    def run(self, trial: Trial) -> None:
        assert trial.running()
        raise self.error


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    plan = Plan("broken", (Start(), Fail(error)), (wave(9),))
    monkeypatch.setattr(engine, "SCENARIOS", {"broken": Scenario("broken", "worker", (plan,))})


def test_the_brokers_own_trouble_is_noted_and_no_verdict_on_the_program(
    broker: Address, program: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, BrokerFailed("It fell over."))
    (journal,) = run_trials("broken", program, broker=broker, seed="s")
    trouble = [event.data for event in journal if event.name == "trouble"]
    assert trouble == [{"what": "It fell over."}]
    assert left(broker, home) == NOTHING


def test_a_mistake_of_the_kit_is_raised_and_leaves_nothing(
    broker: Address, program: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        run_trials("broken", program, broker=broker, seed="s")
    assert left(broker, home) == NOTHING
