"""The picture of a judged run, whatever it ran on: frames, a log's partitions, a task's life.

`draw_run` looks at what the journal itself says of its run. Over RabbitMQ it is a sequence
diagram; where messages are jobs they are shown by their names. On a log no wire is
watched: there the partitions are drawn, at the commit that was too early and in the end. In
a table of tasks it is one task's life. Events go in, a `Picture` comes out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from labs.journal import Event
from labs.judge.history import History
from labs.judge.lives import Message
from labs.pictures.claims import draw_life
from labs.pictures.claims_reading import life
from labs.pictures.partitions import Cell, Lane, Moment, State, draw_partitions
from labs.pictures.picture import Picture
from labs.pictures.sequence import TEXT_WIDTH, draw_sequence

LABEL = 8
"""So many letters of a request tell it from the others."""


def draw_run(
    events: Sequence[Event],
    *,
    highlight: str | None = None,
    only: Collection[int] | None = None,
    width: int = TEXT_WIDTH,
) -> Picture:
    """Draw one journal of a judged run.

    Args:
        events: all events of it, in order.
        highlight: the body of a message whose life is marked.
        only: the events (`Event.n`) that a verdict is shown by.
        width: how many characters a line of the text has.
    """
    about = next((event.data for event in events if event.kind == "run"), {})
    if "topic" in about:
        return draw_partitions(*moments(History.of(events), only or ()))
    if "table" in about:
        return draw_life(life(History.of(events), highlight))
    if "known_by" in about:
        events = with_names(events)
    return draw_sequence(events, highlight=highlight, only=only, width=width)


def with_names(events: Sequence[Event]) -> list[Event]:
    """The same events, in which a job's bytes stand under its name."""
    history = History.of(events)

    def named(data: Mapping[str, Any]) -> Mapping[str, Any]:
        told = {key: history.name_of(data[key]) for key in ("body", "text") if key in data}
        return {**data, **told} if told else data

    return [event._replace(data=named(event.data)) for event in events]


def moments(history: History, only: Collection[int] = ()) -> list[Moment]:
    """The partitions at the last commit among the events that show something, and in the end."""
    shown = [commit for commit in history.commits if commit.n in only]
    found = []
    if shown:
        at = shown[-1]
        title = f"{at.at_s:.1f} s: offset {at.data['offset']} of partition "
        found.append(_moment(history, f"{title}{at.data['partition']} is committed", at.n))
    return [*found, _moment(history, "In the end", len(history.events))]


def _moment(history: History, title: str, n: int) -> Moment:
    lanes: dict[int, list[Message]] = {
        number: [] for number in range(int(history.run.get("partitions", 0)))
    }
    for message in history.messages.values():
        if message.place and message.published and message.published.n < n:
            lanes.setdefault(message.place.partition, []).append(message)
    return Moment(
        title, tuple(_lane(history, number, lanes[number], n) for number in sorted(lanes))
    )


def _lane(history: History, number: int, messages: Sequence[Message], n: int) -> Lane:
    offsets = [
        int(commit.data["offset"])
        for commit in history.commits
        if commit.data["partition"] == number and commit.n <= n
    ]
    committed = offsets[-1] if offsets else None
    ordered = sorted(messages, key=lambda message: message.place.offset if message.place else 0)
    cells = tuple(_cell(message, committed, n) for message in ordered)
    return Lane(f"partition {number}", cells, committed=committed)


def _cell(message: Message, committed: int | None, n: int) -> Cell:
    offset = message.place.offset if message.place else 0
    label = message.body[:LABEL].strip()
    done = [said for said in message.done if said.event.n < n]
    if done:
        return Cell(label, State.DONE, done[-1].copy or "", offset, len(done))
    if any(event.n < n for event in message.appended):
        return Cell(label, State.FAILED, offset=offset)
    passed = committed is not None and offset < committed
    return Cell(label, State.LOST if passed else State.WAITING, offset=offset)
