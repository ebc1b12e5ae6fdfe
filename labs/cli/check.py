"""`labs check`: run a learner's program under faults, and say which promises it keeps."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import click

from labs.cli.checking import COMMAND_LINE, attempt_options, judged
from labs.cli.learner import progress_of
from labs.cli.output import print_json, progress
from labs.errors import BadInput
from labs.judge.verdicts import EXIT_CODES, Outcome, Report

SOLUTIONS = "--solutions"


@dataclass(frozen=True)
class Program:
    """A program to be judged: the exercise, and the command that starts it."""

    exercise: str
    command: tuple[str, ...]


@click.command(context_settings=COMMAND_LINE)
@attempt_options
@click.option("--all", "all_", is_flag=True, help="Every exercise that has a program here.")
@click.option(SOLUTIONS, is_flag=True, help="With --all: judge the kit's own solutions instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.option("--journal", type=click.Path(path_type=Path), help="Keep the run in this file.")
def command(
    exercise: str | None,
    program: tuple[str, ...],
    seed: str | None,
    name: str | None,
    all_: bool,
    solutions: bool,
    as_json: bool,
    journal: Path | None,
) -> None:
    """Judge your program: run it under faults on the real broker.

    COMMAND is what you would type to start it, in any language. The program finds
    the broker in the environment's AMQP_URL and the queue in QUEUE. What it does is
    recorded on the wire; things go wrong as the exercise says; then you read which
    promises it kept, and see the life of one message where it broke one.

    The exit code is 0 when all promises were kept, 1 when one was broken, 2 when
    none was broken and one could not be judged, which is never your fault.

    \b
    Examples:
      labs check hello-consumer -- python my_worker.py
      labs check acknowledgements -- ./qprocessor.py --acknowledge
      labs check confirms --json --journal run.jsonl -- node producer.js
      labs check --all
    """
    context = click.get_current_context()
    if all_:
        if exercise is not None or program:
            raise BadInput(
                "--all takes no exercise and no command.", remedy="Leave out one or the other."
            )
        if journal:
            raise BadInput("--journal keeps one run.", remedy="Name the exercise instead of --all.")
        found = solutions_of_the_kit() if solutions else programs_in(Path.cwd())
        context.exit(_judge_all(found, name=name, seed=seed, as_json=as_json, count=not solutions))
    if solutions:
        raise BadInput(f"{SOLUTIONS} goes with --all.", remedy=f"labs check --all {SOLUTIONS}")
    report = judged(exercise, program, name=name, seed=seed, journal=journal, as_json=as_json)
    context.exit(report.exit_code)


def programs_in(folder: Path) -> list[Program]:
    """What `labs start` put into the folder, as it is now, in the order of the exercises.

    Raises:
        BadInput: there is none.
    """
    from labs.judge.catalogue import exercises

    found = [
        Program(each.slug, (sys.executable, str(folder / each.learners_file)))
        for each in exercises()
        if (folder / each.learners_file).is_file()
    ]
    if not found:
        raise BadInput(
            f"There is no exercise's program in {folder}.",
            remedy="`labs start hello-producer` makes the first; --all judges those that are here.",
        )
    return found


def solutions_of_the_kit() -> list[Program]:
    """The kit's own solutions."""
    from labs.judge.catalogue import exercises

    return [
        Program(each.slug, (sys.executable, str(each.folder / "solution.py")))
        for each in exercises()
    ]


def _judge_all(
    programs: Sequence[Program], *, name: str | None, seed: str | None, as_json: bool, count: bool
) -> int:
    """Judge them, as many side by side as there are cores; print a line each; the exit code."""
    from labs.broker.locate import locate
    from labs.judge import engine
    from labs.judge.attempt import new_seed
    from labs.judge.report import as_json as json_of
    from labs.judge.report import summary
    from labs.judge.scenarios import needs_rabbitmq

    keeper = progress_of(name)
    reports: list[Report] = []
    over = threading.Event()
    with (
        engine.signals_as_exceptions(),
        progress() as tell,
        ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool,
    ):
        any_on_it = any(needs_rabbitmq(program.exercise) for program in programs)
        broker = locate(progress=tell) if any_on_it else None
        tell(f"judging {len(programs)} programs")

        def judge(program: Program) -> Report:
            its_seed = seed or new_seed(keeper.learner)
            return engine.check(
                program.exercise, program.command, broker=broker, seed=its_seed, cancelled=over
            ).report

        checks = [pool.submit(judge, program) for program in programs]
        try:
            for check in checks:
                report = check.result()
                reports.append(report)
                if count:
                    keeper.record(report)
                if not as_json:
                    click.echo(f"  {report.outcome:<8} {report.exercise:<18} {summary(report)}")
        finally:  # Ctrl-C ends those that run, and those that wait for their turn
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # Those that never began are cancelled, and `wait` would wait for them for ever.
            wait([check for check in checks if not check.cancelled()])
    worst = max((report.exit_code for report in reports), key=_weight)
    if as_json:
        outcome = next(o for o, code in EXIT_CODES.items() if code == worst)
        listed = [json_of(report) for report in reports]
        print_json({"outcome": str(outcome), "exit_code": worst, "reports": listed})
    return worst


def _weight(exit_code: int) -> int:
    """Broken weighs more than unknown, unknown more than kept."""
    return (
        EXIT_CODES[Outcome.KEPT],
        EXIT_CODES[Outcome.UNKNOWN],
        EXIT_CODES[Outcome.BROKEN],
    ).index(exit_code)
