"""A report for whoever reads it: lines for a person, one JSON object for a script.

A promise that is judged in several trials is one line: broken if it was broken in
one of them, else unknown if it is unknown in one. A person is then shown the first
broken promise alone, with its smallest evidence; the rest can wait until that one
is mended. The JSON has everything; `report.schema.json` beside this file is its
schema, and a test holds it to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labs.journal import Event
from labs.judge.misconceptions import MISCONCEPTIONS
from labs.judge.verdicts import Outcome, Report, Verdict

WEIGHT = {Outcome.BROKEN: 0, Outcome.UNKNOWN: 1, Outcome.KEPT: 2}


@dataclass(frozen=True)
class Hint:
    """One step of a ladder of hints: `level` of `of`."""

    level: int
    of: int
    text: str


def by_promise(report: Report) -> list[Verdict]:
    """One verdict a promise, in the order of judging: of all trials the one that weighs most."""
    heaviest: dict[str, Verdict] = {}
    for verdict in report.verdicts:
        known = heaviest.get(verdict.promise)
        if known is None or WEIGHT[verdict.outcome] < WEIGHT[known.outcome]:
            heaviest[verdict.promise] = verdict
    return list(heaviest.values())


def promise_lines(report: Report) -> list[tuple[Outcome, str]]:
    """Each promise with its outcome; an unknown one says why."""
    lines = []
    for verdict in by_promise(report):
        why = f" ({verdict.seen})" if verdict.outcome is Outcome.UNKNOWN and verdict.seen else ""
        lines.append((verdict.outcome, verdict.promised + why))
    return lines


def summary(report: Report) -> str:
    """The whole in one sentence."""
    verdicts = by_promise(report)
    kept = sum(verdict.outcome is Outcome.KEPT for verdict in verdicts)
    if report.outcome is Outcome.KEPT:
        return f"All {kept} promises were kept." if kept > 1 else "The promise was kept."
    counts = [f"{kept} of {len(verdicts)} promises were kept"]
    for outcome in (Outcome.BROKEN, Outcome.UNKNOWN):
        if count := sum(verdict.outcome is outcome for verdict in verdicts):
            counts.append(f"{count} {outcome}")
    return ", ".join(counts) + "."


def belief(report: Report) -> str | None:
    """The belief that the run shows, in words; None where none can be told."""
    if report.misconception is None:
        return None
    return MISCONCEPTIONS[report.misconception].belief


def standard_error(journals: Sequence[Sequence[Event]], lines: int = 10) -> list[str]:
    """What the program wrote on standard error: of the first copy that did, the last lines."""
    for events in journals:
        for event in events:
            if event.kind == "note" and event.name == "stderr" and event.data.get("tail"):
                tail = str(event.data["tail"]).splitlines()[-lines:]
                return [f"{event.data.get('copy') or event.copy} said on standard error:", *tail]
    return []


def as_json(
    report: Report,
    *,
    hint: Hint | None = None,
    picture: str | None = None,
    journal: str | None = None,
) -> dict[str, Any]:
    """The report as JSON's own types; `picture` and `journal` are paths of files, if there are."""
    said = belief(report)
    return {
        "exercise": report.exercise,
        "outcome": str(report.outcome),
        "exit_code": report.exit_code,
        "seed": report.seed,
        "took_s": round(report.took_s, 3),
        "verdicts": [_verdict(verdict) for verdict in report.verdicts],
        "misconception": {"number": report.misconception, "belief": said} if said else None,
        "hint": asdict(hint) if hint else None,
        "picture": picture,
        "journal": journal,
    }


def in_words(
    report: Report, *, hint: Hint | None = None, diagram: str = "", stderr: Sequence[str] = ()
) -> str:
    """The report for a person, as plain text; `diagram` is what stands below the evidence."""
    lines = [f"{report.exercise}: {summary(report)}", ""]
    lines += [f"  {outcome:<8} {sentence}" for outcome, sentence in promise_lines(report)]
    if broken := report.first_broken:
        lines += ["", *broken_lines(broken)]
        if diagram:
            lines += ["", diagram.rstrip("\n")]
        if stderr:
            lines += ["", stderr[0], *(f"  {line}" for line in stderr[1:])]
    if said := belief(report):
        lines += ["", f"A belief that leads here: {said}."]
    if hint:
        lines += ["", f"Hint {hint.level} of {hint.of}: {hint.text}"]
    return "\n".join(lines)


def broken_lines(broken: Verdict) -> Sequence[str]:
    """What was promised, what was seen, and one message's life."""
    lines = [f"Promised: {broken.promised}", f"Seen:     {broken.seen}"]
    if broken.evidence:
        lines += [f"  {line}" for line in broken.evidence.lines]
    return lines


def _verdict(verdict: Verdict) -> dict[str, Any]:
    told = asdict(verdict)
    told["outcome"] = str(verdict.outcome)
    return told
