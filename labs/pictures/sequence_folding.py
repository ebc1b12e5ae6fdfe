"""What is shown of a story: folded so that 5 messages and 200 can both be read.

Each rule takes steps and gives fewer; a fold is a step that says what it stands for.
What went as a good many others did is quiet: a few such messages are shown as they
were, the rest is counted. What broke, was refused, came twice or never ended stays.
No rule knows how a step is drawn.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from labs.pictures.sequence_steps import EDGE, OUTSIDE, Kind, Step, listed

ROOM = 30
"""So many rows are shown as they are; in longer stories what is quiet is folded."""
MOST = 90
"""More rows than this are never shown."""
ALIKE = 4
"""So many messages must go the same way before one of them is quiet."""
FEW = 3
"""So many rows of one message alone are not worth a fold."""
SAMPLES = 2
"""So many of those that went the same way are shown."""
OPENING = "open a channel"
LONGEST_ROUND = 8
"""Rows that repeat are found when the round has at most so many."""
IN_WORDS = {
    "judge publishes": "published",
    "publish": "published",
    "deliver": "delivered",
    "get": "taken",
    "ack": "acknowledged",
    "nack": "refused (nack)",
    "reject": "rejected",
    "confirm": "confirmed",
    "left:": "left in the queue",
}
"""How a fold says what happened to the messages that it stands for."""
LOUD = {Kind.BLOW, Kind.NOTE, Kind.PROCESS}


def shown(
    steps: Sequence[Step], *, highlight: str | None = None, only: Collection[int] | None = None
) -> list[Step]:
    """The rows of the diagram."""
    if only is not None:
        return _only(steps, set(only))
    rows = _together(_heartbeats(steps), highlight)
    if len(rows) > ROOM:
        rows = _setups(rows)
    if highlight is not None:
        rows = _others(rows, highlight)
    elif len(rows) > ROOM:
        rows = _alike(rows)
    if len(rows) > ROOM:
        rows = _rounds(rows)
    return _middle_out(rows)


def _only(steps: Sequence[Step], wanted: set[int]) -> list[Step]:
    """The steps of some events; what lies between two of them is one row of dots."""
    rows: list[Step] = []
    for asked, group in groupby(steps, key=lambda step: not wanted.isdisjoint(step.events)):
        if asked:
            rows += group
        elif rows and (between := [step for step in group if not step.quiet]):
            rows.append(_fold(between, _counted(len(between), "other step")))
    while rows and rows[-1].kind is Kind.FOLD:
        rows.pop()
    return rows


def _heartbeats(steps: Sequence[Step]) -> list[Step]:
    """Leave out what is quiet; several heartbeats in a row, a second and more, are one row."""
    rows: list[Step] = []
    for quiet, group in groupby(steps, key=lambda step: step.quiet):
        if not quiet:
            rows += group
            continue
        by_client: dict[tuple[str, str], list[Step]] = defaultdict(list)
        for step in group:
            if step.kind is Kind.HEARTBEAT:
                by_client[step.source, step.target].append(step)
        for beats in by_client.values():
            if len(beats) >= 2:
                rows.append(replace(beats[0], verb=f"{len(beats)} heartbeats", quiet=False,
                                    events=_events(beats), until_s=beats[-1].at_s))  # fmt: skip
    return rows


def _together(steps: Sequence[Step], highlight: str | None) -> list[Step]:
    """What the judge publishes without anything between is one arrow."""

    def alike(step: Step) -> tuple[str, ...]:
        own = step.body if highlight in step.bodies else ""
        return (*step.sort, own) if step.source == OUTSIDE else (str(step.events[0]),)

    rows: list[Step] = []
    for _, group in groupby(steps, key=alike):
        several = list(group)
        bodies = tuple(body for step in several for body in step.bodies)
        if len(several) > 2:
            several = [replace(several[0], body=listed(bodies), bodies=bodies,
                               after=f"({len(bodies)})", events=_events(several),
                               until_s=several[-1].at_s)]  # fmt: skip
        rows += several
    return rows


def _setups(steps: Sequence[Step]) -> list[Step]:
    """What a client asks for before its work, in one arrow."""
    rows: list[Step] = []
    at: dict[int | None, int] = {}  # connection -> index of its open row
    for step in steps:
        if step.kind is Kind.SETUP and step.connection in at:
            index = at[step.connection]
            first = rows[index]
            words = [word for word in (first.label, step.label) if word != OPENING]
            rows[index] = replace(
                first,
                target=step.target if step.target != EDGE else first.target,
                verb=", ".join(dict.fromkeys(words)),
                after="",
                events=first.events + step.events,
            )
            continue
        if step.kind is Kind.SETUP:
            at[step.connection] = len(rows)
        else:
            at.pop(step.connection, None)
        rows.append(step)
    return [step for step in rows if step.label != OPENING]


def _others(steps: Sequence[Step], highlight: str) -> list[Step]:
    """One message's life: its own steps, and what happened to the programs meanwhile."""

    def kept(step: Step) -> bool:
        return highlight in step.bodies or step.kind in LOUD or not step.bodies

    if len(steps) <= ROOM // 2:
        return list(steps)
    return _folded(steps, kept, what="meanwhile {}")


def _alike(steps: Sequence[Step]) -> list[Step]:
    """Show a few of the messages that went the same way, and count the rest of them."""
    lives: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for step in steps:
        for body in step.bodies:
            lives[body].append((step.kind, step.verb, step.after, step.fate))
    ways = Counter(tuple(life) for life in lives.values())
    seen: Counter[tuple[tuple[str, ...], ...]] = Counter()
    quiet: set[str] = set()
    for body, life in lives.items():
        way = tuple(life)
        seen[way] += 1
        if ways[way] >= ALIKE and seen[way] > SAMPLES and seen[way] < ways[way]:
            quiet.add(body)

    def kept(step: Step) -> bool:
        return not step.bodies or not quiet.issuperset(step.bodies)

    return _folded(steps, kept, what="{} like these")


def _folded(steps: Sequence[Step], kept: Callable[[Step], bool], *, what: str) -> list[Step]:
    rows: list[Step] = []
    for keep, group in groupby(steps, key=kept):
        left_out = list(group)
        bodies = {body for step in left_out for body in step.bodies}
        if keep or len(left_out) <= (1 if len(bodies) > 1 else FEW):
            rows += left_out
            continue
        verbs = dict.fromkeys(IN_WORDS.get(step.verb, step.verb) for step in left_out)
        words = f"{what.format(_counted(len(bodies), 'message'))}: {', '.join(verbs)}"
        rows.append(_fold(left_out, words))
    return rows


def _rounds(steps: Sequence[Step]) -> list[Step]:
    """Rows that come again and again in the same order: once, and how often more."""
    rows: list[Step] = []
    sorts = [(*step.sort, step.body) for step in steps]
    index = 0
    while index < len(steps):
        length, times = _round_at(sorts, index)
        rows += steps[index : index + length]
        if times > 1:
            again = steps[index + length : index + length * times]
            rows_that = "the last row" if length == 1 else f"the last {length} rows"
            words = f"{rows_that} {_counted(times - 1, 'time')} more"
            rows.append(_fold(again, words))
        index += length * times
    return rows


def _round_at(sorts: Sequence[object], index: int) -> tuple[int, int]:
    """The round that begins here: how many rows it has, and how often it comes; at least 1, 1."""
    best = (1, 1)
    for length in range(1, LONGEST_ROUND + 1):
        times = 1
        one = sorts[index : index + length]
        while sorts[index + length * times : index + length * (times + 1)] == one:
            times += 1
        if times >= 3 and length * times > best[0] * best[1]:
            best = (length, times)
    return best


def _middle_out(steps: Sequence[Step]) -> list[Step]:
    """If there are still too many: the beginning and the end, and what is loud."""
    if len(steps) <= MOST:
        return list(steps)
    loud = [index for index, step in enumerate(steps) if step.kind in LOUD][: MOST // 3]
    some = (MOST - len(loud)) // 2
    kept = {*range(some), *range(len(steps) - some, len(steps)), *loud}
    rows: list[Step] = []
    for keep, group in groupby(enumerate(steps), key=lambda pair: pair[0] in kept):
        several = [step for _, step in group]
        rows += several if keep else [_fold(several, _counted(len(several), "other step"))]
    return rows


def _fold(steps: Sequence[Step], words: str) -> Step:
    return Step(
        Kind.FOLD,
        steps[0].at_s,
        _events(steps),
        verb=f"… {words} …",
        bodies=tuple(dict.fromkeys(body for step in steps for body in step.bodies)),
        until_s=max(step.ended_s for step in steps),
    )


def _events(steps: Iterable[Step]) -> tuple[int, ...]:
    return tuple(n for step in steps for n in step.events)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
