"""`make judge-score`: how well the judge judges, by programs of which it is known what is right.

Every program of `tests/programs` is judged again and again, with another seed each
time. The goal: every wrong one caught, every caught one's belief named rightly, no
right one accused, and no program judged now so and now so (a *flip*: a run that
ended otherwise than most of that program's runs). A table goes to a person, JSON to
a script; the exit code says whether the goal was reached (1: it was not). With
`--keep` the journals of misjudged runs are written into a folder, for `labs judge`.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.__main__ import machine_facts, some_broker
from labs.broker.state import FoundBroker, Source
from labs.errors import LabError
from labs.journal import write_journals
from labs.judge import engine
from labs.judge.report import in_words
from labs.judge.verdicts import Outcome, Report
from tests.programs.collection import Sample, samples

SAID_EVERY = 50
"""Where no bar can move, so many runs are one line."""

Told = tuple[str, int | None]
"""What was said of a program: the outcome, and the belief."""


@dataclass(frozen=True)
class Score:
    """What came of some programs, judged often. Programs are counted, and for flips runs."""

    programs: str
    wrong: int = 0
    caught: int = 0
    """Wrong ones that were caught in every run."""
    named: int = 0
    """Caught ones whose belief was named rightly in every run."""
    right: int = 0
    false_alarms: int = 0
    """Right ones that were accused in one run or more."""
    not_sure: int = 0
    """Right ones of which one run or more could not say anything."""
    runs: int = 0
    flips: int = 0

    @property
    def is_perfect(self) -> bool:
        """Whether the goal was reached."""
        all_known = self.wrong == self.caught == self.named
        return all_known and not (self.false_alarms or self.not_sure or self.flips)


def score(programs: str, told: Iterable[tuple[Sample, Sequence[Told]]]) -> Score:
    """The score of some programs, of each of which all that was told is given."""
    total = Score(programs)
    for sample, runs in told:
        outcomes = {outcome for outcome, _ in runs}
        caught = outcomes == {Outcome.BROKEN}
        named = caught and {belief for _, belief in runs} == {sample.misconception}
        usual = Counter(runs).most_common(1)[0][1]
        total = replace(
            total,
            wrong=total.wrong + (not sample.is_right),
            caught=total.caught + (caught and not sample.is_right),
            named=total.named + (named and not sample.is_right),
            right=total.right + sample.is_right,
            false_alarms=total.false_alarms + (sample.is_right and Outcome.BROKEN in outcomes),
            not_sure=total.not_sure + (sample.is_right and Outcome.UNKNOWN in outcomes),
            runs=total.runs + len(runs),
            flips=total.flips + len(runs) - usual,
        )
    return total


def chosen(only: Sequence[str]) -> list[Sample]:
    """The programs whose names hold one of these; without Node.js none in JavaScript."""
    found = [s for s in samples() if not only or any(part in s.name for part in only)]
    if shutil.which("node") is None:
        found = [sample for sample in found if not sample.needs_node]
    return found


def as_it_should(sample: Sample, report: Report) -> bool:
    """Whether the judge said the right thing."""
    return report.outcome is Outcome.KEPT if sample.is_right else sample.is_named(report)


def judge_all(
    chosen: Sequence[Sample],
    broker: FoundBroker,
    *,
    repeats: int,
    jobs: int,
    keep: Path | None,
    console: Console,
) -> dict[Sample, list[Told]]:
    """Judge each so often, some side by side; what is misjudged is said at once."""

    def judge(sample: Sample, number: int) -> tuple[Sample, engine.Run]:
        seed = f"score-{number}"
        return sample, engine.check(sample.exercise, sample.command(), broker=broker, seed=seed)

    told: dict[Sample, list[Told]] = defaultdict(list)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with ThreadPoolExecutor(jobs) as pool, Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(chosen) * repeats, last="")
        waiting = [pool.submit(judge, s, n) for n in range(repeats) for s in chosen]
        try:
            for future in as_completed(waiting):
                sample, run = future.result()
                report = run.report
                told[sample].append((report.outcome, report.misconception))
                progress.update(bar, advance=1, last=sample.name)
                done = sum(map(len, told.values()))
                if not console.is_terminal and done % SAID_EVERY == 0:
                    console.print(f"{done} of {len(waiting)} runs")
                if not as_it_should(sample, report):
                    console.print(f"[bold]{sample.name}[/]", in_words(report), sep="\n")
                    if keep:
                        name = f"{sample.name.replace('/', '-').replace(' ', '')}-{report.seed}"
                        write_journals(keep / f"{name}.jsonl", run.journals)
        finally:
            for future in waiting:
                future.cancel()
    return told


def scores_of(told: dict[Sample, list[Told]]) -> list[Score]:
    """A score an exercise, and one for all."""
    exercises = dict.fromkeys(sample.exercise for sample in sorted(told, key=lambda s: s.name))
    each = [
        score(exercise, [(s, runs) for s, runs in told.items() if s.exercise == exercise])
        for exercise in exercises
    ]
    return [*each, score("all", told.items())]


def table_of(scores: Sequence[Score], repeats: int) -> Table:
    """The scores as people read them."""
    table = Table(title=f"The judge, judged: {repeats} runs of each program")
    table.add_column("programs", no_wrap=True)
    for heading in ("caught", "named", "false alarms", "not sure", "flips"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in scores:
        table.add_row(
            each.programs,
            f"{each.caught} of {each.wrong}",
            f"{each.named} of {each.caught}",
            f"{each.false_alarms} of {each.right}",
            f"{each.not_sure} of {each.right}",
            f"{each.flips} of {each.runs}",
            style=None if each.is_perfect else "bold",
            end_section=each is scores[-2],
        )
    return table


@click.command()
@click.option("--url", envvar="AMQP_URL", help="The broker; else a private node of its own.")
@click.option("--management-url", envvar="LABS_MANAGEMENT_URL", help="Of the broker at --url.")
@click.option("--repeats", type=click.IntRange(1), default=50, show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=3, show_default=True, help="Side by side.")
@click.option("--only", multiple=True, help="Programs with this in their names; may be repeated.")
@click.option("--keep", type=click.Path(path_type=Path), help="Misjudged runs' journals, here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(
    url: str | None,
    management_url: str | None,
    repeats: int,
    jobs: int,
    only: tuple[str, ...],
    keep: Path | None,
    as_json: bool,
) -> None:
    """Judge the judge by right and wrong programs."""
    console = Console(stderr=True, highlight=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    programs = chosen(only)
    if not programs:
        raise click.ClickException("No program's name holds that. Look into tests/programs.")
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
    try:
        with some_broker(url) as address:
            if url and management_url:
                address = replace(address, management_url=management_url)
            facts = machine_facts(address)
            broker = FoundBroker(address, Source.SERVER if url else Source.NATIVE)
            told = judge_all(
                programs, broker, repeats=repeats, jobs=jobs, keep=keep, console=console
            )
    except LabError as error:
        raise click.ClickException(f"{error} {error.remedy}") from error
    scores = scores_of(told)
    if as_json:
        shown = {sample.name: Counter(map(str, runs)) for sample, runs in told.items()}
        listed = [asdict(each) for each in scores]
        click.echo(json.dumps({"facts": facts, "scores": listed, "told": shown}, indent=2))
    else:
        Console().print(table_of(scores, repeats))
    sys.exit(not scores[-1].is_perfect)


if __name__ == "__main__":
    main()
