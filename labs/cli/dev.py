"""`labs dev check`: refuses an exercise that is not complete.

Complete is: a brief, a starter that fails and shows the belief that it is to show, a
solution that passes, four hints for each belief, and three wrong programs for the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from labs.broker.state import ROOT, FoundBroker
from labs.cli.group import Group
from labs.cli.learner import complete_exercise
from labs.cli.output import progress
from labs.judge.catalogue import FOLDER, PROGRAMS, SLUGS, Exercise, exercise, read_exercise
from labs.judge.misconceptions import MISCONCEPTIONS
from labs.judge.verdicts import Outcome, Report

SAMPLES = ROOT / "tests" / "programs"
FILES = ("exercise.toml", "brief.md", "starter.py", "solution.py", "solution.md")
WRONG_PROGRAMS = 3
DESIGNS = 3
"""In solution.md: why the solution works, and two others."""
SEED = "dev"


@click.group(cls=Group)
def command() -> None:
    """For those who write exercises."""


@command.command()
@click.argument("exercises", metavar="[EXERCISE]...", nargs=-1, shell_complete=complete_exercise)
@click.option("--quick", is_flag=True, help="Look at the files only; run nothing.")
def check(exercises: tuple[str, ...], quick: bool) -> None:
    """Refuse an exercise that is not complete.

    It needs a brief, a starter that fails and shows its belief, a solution that
    passes, four hints, and three wrong programs in tests/programs. Starter and
    solution are judged as a learner's program is. The exit code is 1 when
    something is missing.
    """
    slugs = [slug for slug in SLUGS if slug in exercises] if exercises else list(SLUGS)
    for slug in exercises:
        exercise(slug)  # a name that is none is said before anything is run
    faults = {slug: list(faults_of_files(FOLDER / slug, SAMPLES / slug)) for slug in slugs}
    if not quick:
        whole = [read_exercise(FOLDER / slug) for slug in slugs if not faults[slug]]
        faults |= faults_of_runs(whole)
    for slug in slugs:
        click.echo(f"{slug}: {'ok' if not faults[slug] else ''}".rstrip())
        for fault in faults[slug]:
            click.echo(f"  - {fault}")
    click.get_current_context().exit(1 if any(faults.values()) else 0)


def faults_of_files(folder: Path, programs: Path) -> Iterator[str]:
    """What is missing in an exercise's folder, or among its wrong programs: a sentence each."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    yield from (f"There is no {name}." for name in missing)
    wrong = len(list(programs.glob("wrong_*")))
    if wrong < WRONG_PROGRAMS:
        yield f"{WRONG_PROGRAMS} wrong programs are needed in {programs}, and there are {wrong}."
    if missing:
        return
    try:
        found = read_exercise(folder)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"exercise.toml can't be read: {error!r}."
        return
    yield from faults_of_contents(found)


def faults_of_contents(found: Exercise) -> Iterator[str]:
    """What an exercise with all its files lacks: a sentence each."""
    if found.program not in PROGRAMS:
        yield f"exercise.toml: a program is one of {', '.join(PROGRAMS)}, not {found.program!r}."
    if found.shows not in MISCONCEPTIONS:
        yield f"exercise.toml: the belief {found.shows!r}, which the starter shows, is unknown."
    for belief, ladder in found.ladders.items():
        if not all(ladder) or len(set(ladder)) < len(ladder):
            yield f"exercise.toml: the hints for the belief {belief} repeat, or are empty."
    if not found.brief.startswith(f"# {found.title}\n"):
        yield f"brief.md does not begin with its title, {found.title!r}."
    if f"labs check {found.slug} -- " not in found.brief:
        yield "brief.md does not say how to check the program."
    designs = found.explanation.count("\n## ")
    if designs < DESIGNS:
        yield f"solution.md has {designs} sections: why it works and two other designs are needed."
    for name, text in (("starter.py", found.starter), ("solution.py", found.solution)):
        try:
            compile(text, name, "exec")
        except SyntaxError as error:
            yield f"{name} is no Python: {error}."
    if found.starter == found.solution:
        yield "starter.py and solution.py are the same."


def faults_of_runs(whole: list[Exercise]) -> dict[str, list[str]]:
    """Judge starters and solutions; what is wrong with each exercise."""
    from labs.broker.locate import locate
    from labs.judge.scenarios import needs_rabbitmq

    with progress() as tell:
        any_on_it = any(needs_rabbitmq(found.slug) for found in whole)
        broker = locate(progress=tell) if any_on_it else None
        faults: dict[str, list[str]] = {}
        for found in whole:
            tell(f"{found.slug}: starter and solution are judged")
            faults[found.slug] = list(faults_of_run(found, broker))
    return faults


def faults_of_run(found: Exercise, broker: FoundBroker | None) -> Iterator[str]:
    """Judge starter and solution of an exercise, side by side: a sentence for each fault."""
    from labs.judge import engine

    def judged(name: str) -> Report:
        command = [sys.executable, str(found.folder / name)]
        return engine.check(found.slug, command, broker=broker, seed=SEED).report

    with ThreadPoolExecutor() as pool:
        starter, solution = pool.map(judged, ("starter.py", "solution.py"))
    if starter.outcome is not Outcome.BROKEN:
        yield f"starter.py must break a promise. It did not: {starter.outcome}."
    elif starter.misconception != found.shows:
        yield f"starter.py shows the belief {starter.misconception}, not {found.shows}."
    for verdict in solution.verdicts:
        if verdict.outcome is not Outcome.KEPT:
            seen = f"{verdict.promised} {verdict.outcome}: {verdict.seen}"
            yield f"solution.py must keep all promises. It did not: {seen}"
