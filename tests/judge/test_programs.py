"""The judge, judged: every wrong program is caught and its belief named; every right one passes.

The programs are those of `tests/programs`. Judging one is mostly waiting, so a few
are judged side by side while the tests look at the reports one after the other. A
right program that is accused is a bug in the judge or in the program: the message
shows what was seen, and `labs check … --journal` keeps a run to look into.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest

import pytest

from labs.broker.address import Address
from labs.broker.state import FoundBroker, Source
from labs.judge import engine
from labs.judge.catalogue import SLUGS
from labs.judge.misconceptions import MISCONCEPTIONS
from labs.judge.report import in_words
from labs.judge.verdicts import Outcome, Report
from tests.programs.collection import Sample, samples

ALL = samples()
RIGHT = [sample for sample in ALL if sample.is_right]
WRONG = [sample for sample in ALL if not sample.is_right]
SIDE_BY_SIDE = 4
pytestmark = pytest.mark.timeout(900)  # the first test may have to wait for all the others
SEED = "programs"
SHOWN_BY_NO_EXERCISE = {
    14: "an exercise's promises allow duplicates from a producer",
    21: "no exercise promises an order over two workers",
    22: "no exercise promises an order over two workers",
    27: "what a program does besides printing, nobody sees",
    32: "no exercise asks for a delay between attempts",
    35: "the broker's timeout is half an hour",
}
"""The beliefs without a wrong program, and why."""

CLIENTS = (
    "labs.job_queue",
    "labs.request_queue",
    "confluent_kafka",
    "amqplib",
    "aio_pika",
    "kombu",
    "pika",
    "sqlalchemy",
    "httpx",
    "fetch(",
    "node:http",
    "http.client",
    "urllib",
    "sqlite3",
)
"""What the programs speak to a broker, or a service, with, as their text tells."""

Reports = Callable[[Sample], Report]


@pytest.fixture(scope="session")
def report_of(broker: Address, request: pytest.FixtureRequest) -> Iterator[Reports]:
    """The judge's report on a program: all that are asked for are judged beforehand."""
    found = FoundBroker(broker, Source.NATIVE)
    asked = _mixed({_sample_of(item) for item in request.session.items})

    def judge(sample: Sample) -> Report:
        return engine.check(sample.exercise, sample.command(), broker=found, seed=SEED).report

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        reports: dict[Sample, Future[Report]] = {s: pool.submit(judge, s) for s in asked}
        yield lambda sample: reports[sample].result()
        for future in reports.values():
            future.cancel()


def _mixed(asked: Iterable[Sample | None]) -> list[Sample]:
    """Not one exercise after the other: those that restart a broker would wait for each other."""
    by_exercise = defaultdict(list)
    for sample in sorted(filter(None, asked), key=lambda sample: sample.name):
        by_exercise[sample.exercise].append(sample)
    in_turn = zip_longest(*by_exercise.values())
    return [sample for turn in in_turn for sample in turn if sample]


def _sample_of(item: pytest.Item) -> Sample | None:
    parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    sample = parameters.get("sample")
    return sample if isinstance(sample, Sample) else None


def named(sample: Sample) -> str:
    """The id of a test."""
    return sample.name


@pytest.mark.parametrize("sample", RIGHT, ids=named)
def test_a_right_program_passes(sample: Sample, report_of: Reports) -> None:
    report = report_of(sample)

    assert report.outcome is Outcome.KEPT, in_words(report)


@pytest.mark.parametrize("sample", WRONG, ids=named)
def test_a_wrong_program_is_caught_and_its_belief_named(sample: Sample, report_of: Reports) -> None:
    report = report_of(sample)

    assert report.outcome is Outcome.BROKEN, in_words(report)
    assert report.misconception == sample.misconception, in_words(report)


@pytest.mark.parametrize("slug", SLUGS)
def test_each_exercise_has_three_wrong_and_three_right_programs(slug: str) -> None:
    assert sum(sample.exercise == slug for sample in WRONG) >= 3
    assert sum(sample.exercise == slug for sample in RIGHT) >= 3


@pytest.mark.parametrize("slug", SLUGS)
def test_the_right_programs_of_an_exercise_are_of_different_style(slug: str) -> None:
    def speaks(sample: Sample) -> str:
        text = sample.path.read_text(encoding="utf-8")
        return next(client for client in CLIENTS if client in text)

    clients = {speaks(sample) for sample in RIGHT if sample.exercise == slug}

    assert len(clients) >= 2, clients


def test_each_belief_has_a_wrong_program_or_a_reason_why_not() -> None:
    shown = defaultdict(list)
    for sample in WRONG:
        if sample.misconception:
            shown[sample.misconception].append(sample.name)

    assert set(shown) | set(SHOWN_BY_NO_EXERCISE) == set(MISCONCEPTIONS)
    assert not set(shown) & set(SHOWN_BY_NO_EXERCISE)
