"""From the journals of a check to its report: the whole judge, as one pure function.

A check leaves one journal a trial. Each is read as a history, each promise of the
exercise is put to each history, and the belief that the run shows is named where it
can be told. The same journals give the same report, today or from a file next year.
"""

from __future__ import annotations

from collections.abc import Sequence

from labs.errors import BadInput
from labs.journal import Event
from labs.judge.diagnosis import misconception_of
from labs.judge.history import History
from labs.judge.promises import PROMISES
from labs.judge.verdicts import Report


def judge_journals(journals: Sequence[Sequence[Event]]) -> Report:
    """The report on a check, from the journals of its trials.

    Raises:
        BadInput: they are not the journals of one exercise.
    """
    histories = [History.of(events) for events in journals]
    slugs = {history.exercise for history in histories}
    if len(slugs) != 1 or not slugs <= set(PROMISES):
        raise BadInput(
            "These are not the journals of one exercise, so that there is nothing to judge.",
            remedy="Name a file that `labs check EXERCISE --journal FILE` made; a recording of "
            "`labs proxy` can be drawn with `labs draw`.",
        )
    slug = slugs.pop()
    verdicts = tuple(v for promise in PROMISES[slug] for v in promise.over_all(histories))
    return Report(
        exercise=slug,
        seed=str(histories[0].run.get("seed", "")),
        verdicts=verdicts,
        misconception=misconception_of(slug, histories, verdicts),
        took_s=max((events[-1].at_s for events in journals if events), default=0.0),
    )
