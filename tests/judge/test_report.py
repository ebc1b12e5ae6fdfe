"""A report as a person and as a script read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import labs.judge.report as reports
from labs.journal import Event
from labs.judge.report import Hint
from labs.judge.verdicts import Evidence, Outcome, Report, Verdict

SCHEMA = json.loads((Path(reports.__file__).parent / "report.schema.json").read_text())


def verdict(
    promise: str, outcome: Outcome, trial: str = "kill", evidence: Evidence | None = None
) -> Verdict:
    return Verdict(promise, f"Promised: {promise}.", outcome, trial, f"seen in {trial}", evidence)


EVIDENCE = Evidence("grün", (3, 5), ("0.100 s  delivered to A", "0.200 s  A acknowledged it"))
BROKEN = Report(
    "acknowledgements",
    "ada-1",
    (
        verdict("all-done", Outcome.KEPT),
        verdict("settled-after", Outcome.KEPT),
        verdict("moved-on", Outcome.UNKNOWN),
        verdict("all-done", Outcome.UNKNOWN, "freeze"),
        verdict("settled-after", Outcome.BROKEN, "freeze", EVIDENCE),
    ),
    misconception=3,
    took_s=4.25,
)
KEPT = Report("hello-consumer", "ada-2", (verdict("all-done", Outcome.KEPT),))


def test_a_promise_of_several_trials_is_one_line_and_its_worst_outcome_counts() -> None:
    lines = reports.promise_lines(BROKEN)

    assert lines == [
        (Outcome.UNKNOWN, "Promised: all-done. (seen in freeze)"),
        (Outcome.BROKEN, "Promised: settled-after."),
        (Outcome.UNKNOWN, "Promised: moved-on. (seen in kill)"),
    ]


@pytest.mark.parametrize(
    ("outcomes", "outcome", "exit_code"),
    [
        ((Outcome.KEPT, Outcome.KEPT), Outcome.KEPT, 0),
        ((Outcome.KEPT, Outcome.UNKNOWN, Outcome.BROKEN), Outcome.BROKEN, 1),
        ((Outcome.KEPT, Outcome.UNKNOWN), Outcome.UNKNOWN, 2),
        ((), Outcome.UNKNOWN, 2),
    ],
)
def test_the_exit_code_says_kept_broken_or_unknown(
    outcomes: tuple[Outcome, ...], outcome: Outcome, exit_code: int
) -> None:
    report = Report("poison", "s", tuple(verdict(str(n), o) for n, o in enumerate(outcomes)))

    assert (report.outcome, report.exit_code) == (outcome, exit_code)


def test_a_person_reads_the_first_broken_promise_its_evidence_the_belief_and_a_hint() -> None:
    words = reports.in_words(BROKEN, hint=Hint(1, 4, "Who knows?"), diagram="A ---> broker\n")

    lines = words.splitlines()
    assert lines[0] == "acknowledgements: 0 of 3 promises were kept, 1 broken, 2 unknown."
    shown = lines.index("Promised: Promised: settled-after.")
    assert lines[shown + 1 : shown + 6] == [
        "Seen:     seen in freeze",
        "  0.100 s  delivered to A",
        "  0.200 s  A acknowledged it",
        "",
        "A ---> broker",
    ]
    assert lines[-1] == "Hint 1 of 4: Who knows?"
    assert "A belief that leads here: " in words


def test_what_a_failing_program_wrote_on_standard_error_is_shown() -> None:
    said = Event(7, 0.4, "note", "stderr", data={"copy": "B", "tail": "Traceback\nNameError: pika"})
    stderr = reports.standard_error([[Event(0, 0.0, "run")], [said]])

    words = reports.in_words(BROKEN, stderr=stderr)

    assert "\nB said on standard error:\n  Traceback\n  NameError: pika\n" in words
    assert "standard error" not in reports.in_words(KEPT, stderr=stderr)


def test_whoever_keeps_all_promises_reads_no_evidence_and_no_hint() -> None:
    words = reports.in_words(KEPT)

    assert words == ("hello-consumer: The promise was kept.\n\n  kept     Promised: all-done.")


@pytest.mark.parametrize(
    "told",
    [
        reports.as_json(KEPT),
        reports.as_json(BROKEN, hint=Hint(1, 4, "?"), picture="a.svg", journal="a.jsonl"),
    ],
    ids=["kept", "broken"],
)
def test_the_json_is_what_its_schema_says(told: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    jsonschema.validate(json.loads(json.dumps(told)), SCHEMA)


def test_the_schema_knows_every_field_and_no_more() -> None:
    told = reports.as_json(BROKEN)

    assert set(told) == set(SCHEMA["properties"]) == set(SCHEMA["required"])
    assert set(told["verdicts"][0]) == set(SCHEMA["$defs"]["verdict"]["properties"])
