"""`check`: run a learner's program through all trials of an exercise, and judge it.

The trials run side by side, each in a thread. However a check ends (a verdict, Ctrl-C,
SIGTERM, a fault of the kit), the processes, vhosts, users, queues, ports and folders
that it made are gone after it; what a killed check left (kill -9) the next one removes.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from labs.broker import locate, processes
from labs.broker.address import Address
from labs.broker.connection import delete_queues, log_in
from labs.broker.state import FoundBroker, Source
from labs.errors import BadInput, LabError
from labs.journal import Event
from labs.judge import ground
from labs.judge.family import marked
from labs.judge.job_trial import run_job_trial
from labs.judge.judging import judge_journals
from labs.judge.leftovers import Note, keep_for_later, left_by_killed_checks, remove_folders
from labs.judge.log_trial import run_log_trial
from labs.judge.plan import Cancelled, Plan, Setting
from labs.judge.scenarios import SCENARIOS, On, Scenario
from labs.judge.service_trial import run_service_trial
from labs.judge.table_trial import run_table_trial
from labs.judge.trial import run_trial
from labs.judge.verdicts import Outcome, Report

Progress = Callable[[str], None]
LOOK_S = 0.2
MORE_TRIES = 2
"""So often a trial is run anew whose fault found nothing to strike, though it might have."""
SIGNALS = ("SIGTERM", "SIGHUP")
RUN: Mapping[On, Callable[[Plan[Any], Setting], Sequence[Event]]] = {
    On.RABBITMQ: run_trial,
    On.JOBS: run_job_trial,
    On.LOG: run_log_trial,
    On.TABLE: run_table_trial,
    On.SERVICE: run_service_trial,
}
"""What runs a trial, by the ground that it runs on."""


@dataclass(frozen=True)
class Run:
    """What a check gives back."""

    report: Report
    journals: tuple[Sequence[Event], ...]
    """One a trial, in the order of the scenario."""


def check(
    exercise: str,
    command: Sequence[str],
    *,
    broker: FoundBroker | Address | None,
    seed: str,
    progress: Progress | None = None,
    cwd: Path | None = None,
    cancelled: threading.Event | None = None,
) -> Run:
    """Judge `command` in the exercise.

    Where a fault came too late by chance, so that no verdict is possible, its trial is run again:
    the last run of each trial counts.

    Args:
        broker: where the trials run; an address counts as somebody else's broker. None will do
            where an exercise needs none (`Scenario.ground`): its trials make their own ground.
        seed: decides bodies, their order and the places of the faults.
        progress: told in words what is being done.
        cwd: where the program is started; default: here.
        cancelled: set it, from another thread, to end the check before its time.

    Raises:
        Cancelled: it was ended so.
        BadInput: there is no such exercise; CannotStart: the command can't be run.
        BrokerUnreachable, ManagementFailed: the broker does not answer.
    """
    began = time.monotonic()

    def run(only: Collection[str] | None = None) -> dict[str, Sequence[Event]]:
        journals = run_trials(
            exercise,
            command,
            broker=broker,
            seed=seed,
            progress=progress,
            cwd=cwd,
            cancelled=cancelled,
            only=only,
        )
        return {str(events[0].data["trial"]): events for events in journals}

    journals = run()
    report = judge(tuple(journals.values()))
    for _ in range(MORE_TRIES):
        missed = [name for name, events in journals.items() if missed_by_chance(events)]
        if not missed or report.outcome is not Outcome.UNKNOWN:
            break
        (progress or (lambda _: None))(f"{exercise}: a fault came too late, so once more:")
        journals |= run(missed)
        report = judge(tuple(journals.values()))
    took_s = round(time.monotonic() - began, 3)
    return Run(replace(report, took_s=took_s), tuple(journals.values()))


def missed_by_chance(events: Sequence[Event]) -> bool:
    """Whether a fault of the trial found nothing to strike, and might the next time."""
    notes = (e for e in events if e.kind == "note" and e.name == "fault-missed")
    return any(note.data.get("by_chance") for note in notes)


def judge(journals: Sequence[Sequence[Event]]) -> Report:
    """What the journals of one check, just run or read from a file, say of the program."""
    return judge_journals(journals)


def run_trials(
    exercise: str,
    command: Sequence[str],
    *,
    broker: FoundBroker | Address | None,
    seed: str,
    progress: Progress | None = None,
    cwd: Path | None = None,
    cancelled: threading.Event | None = None,
    only: Collection[str] | None = None,
) -> tuple[Sequence[Event], ...]:
    """The journals of the exercise's trials (`only`: those of these names); else as `check`."""
    if exercise not in SCENARIOS:
        raise BadInput(f"There is no exercise {exercise!r}.", remedy="`labs exercises` lists them.")
    scenario = SCENARIOS[exercise]
    if only is not None:
        scenario = replace(scenario, plans=tuple(p for p in scenario.plans if p.name in only))
    found = _broker_for(scenario, broker)
    clean_up_after_killed_checks(found)
    mark = f"check-{secrets.token_hex(6)}"
    note = Note(mark, found.address.shown if found else "")
    with signals_as_exceptions(), working_folder(note) as folder:
        setting = Setting(
            exercise=exercise,
            program=scenario.program,
            command=tuple(command),
            broker=found,
            seed=seed,
            mark=mark,
            note=note,
            folder=folder,
            cwd=cwd,
            cancelled=threading.Event(),
        )
        (progress or (lambda _: None))(f"{exercise}: {_trials(scenario)}")
        return _side_by_side(scenario, setting, cancelled or threading.Event())


def _broker_for(scenario: Scenario, broker: FoundBroker | Address | None) -> FoundBroker | None:
    """The RabbitMQ for its trials; None: they need none."""
    if not scenario.needs_rabbitmq:
        return None
    if broker is None:
        raise BadInput(f"{scenario.slug} needs a broker.", remedy="`labs up` starts one.")
    found = FoundBroker(broker, Source.SERVER) if isinstance(broker, Address) else broker
    log_in(found.address)  # a broker that is away before the first trial is told at once
    return found


def _trials(scenario: Scenario) -> str:
    names = ", ".join(plan.name for plan in scenario.plans)
    return f"the trials {names}, side by side" if len(scenario.plans) > 1 else f"the trial {names}"


def _side_by_side(
    scenario: Scenario, setting: Setting, cancelled: threading.Event
) -> tuple[Sequence[Event], ...]:
    """Run the trials, each in a thread; when one fails or a signal comes, all are to end.

    The futures are waited for, and never a thread: `Thread.join`, interrupted by Ctrl-C, takes
    the thread for ended (Python 3.11), and what it made would stay.
    """
    plans, run = scenario.plans, RUN[scenario.ground]
    pool = ThreadPoolExecutor(max_workers=len(plans))
    trials = [pool.submit(run, plan, setting) for plan in plans]
    running: set[Future[Sequence[Event]]] = set(trials)
    try:
        while running and not cancelled.is_set():
            done, running = wait(running, timeout=LOOK_S, return_when=FIRST_EXCEPTION)
            if any(trial.exception() for trial in done):
                break
    finally:
        setting.cancelled.set()
        wait(trials)
        pool.shutdown()
        processes.kill(marked(setting.mark))
    failures = [failure for trial in trials if (failure := trial.exception())]
    if failures:
        raise next((f for f in failures if not isinstance(f, Cancelled)), failures[0])
    return tuple(trial.result() for trial in trials)


@contextmanager
def working_folder(note: Note) -> Iterator[Path]:
    """A folder for what the programs keep; gone afterwards, as is the note of this check."""
    folder = Path(tempfile.mkdtemp(prefix="labs-check-"))
    note.add("folders", str(folder))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        note.remove("folders", str(folder))
        note.forget()


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Asked to end (SIGTERM, SIGHUP), clean up first, as after Ctrl-C; then exit by its number."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and hears of signals
        return
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def clean_up_after_killed_checks(found: FoundBroker | None) -> None:
    """Remove what checks left that were killed themselves: processes, vhosts, queues, folders.

    What is on a broker goes when a check comes by that uses this broker.
    """
    for path, said in left_by_killed_checks():
        if "mark" in said:  # once: a check that is over starts nothing any more
            processes.kill(marked(str(said["mark"])))
            remove_folders(said)
            said = keep_for_later(path, said)
        for name in said.get("spare_vhosts", []):
            ground.remove_spare_vhost(locate.spare_node(), name)
        mine = found is not None and said.get("broker") == found.address.shown
        try:
            if found and mine and said.get("vhosts"):
                for name in said["vhosts"]:
                    ground.remove_vhost(found.address, name)
            if found and mine and said.get("queues"):
                delete_queues(found.address, said["queues"])
        except LabError:
            continue  # the broker does not answer now: the note stays for the next check
        if mine or not (said.get("vhosts") or said.get("queues")):
            path.unlink(missing_ok=True)
