"""What went over the wire, as a sequence diagram: from a journal's events to a `Picture`.

    picture = draw_sequence(journal.events, highlight="job-3")

The way: `sequence_reading` makes steps of the events (with `sequence_frames` for what
a frame means, `sequence_channel` for what an ack is about, `sequence_marks` for what is no
frame, `sequence_lifelines` for who is who); `sequence_folding` leaves out what is quiet;
`sequence_svg` and `sequence_text` draw the rest, for a page and for a terminal. All of it
is pure: the same events give the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from labs.journal import Event
from labs.pictures.picture import Picture
from labs.pictures.sequence_folding import shown
from labs.pictures.sequence_lifelines import side_by_side
from labs.pictures.sequence_reading import read
from labs.pictures.sequence_steps import Story
from labs.pictures.sequence_svg import draw_svg
from labs.pictures.sequence_text import draw_text

TEXT_WIDTH = 96


def draw_sequence(
    events: Sequence[Event],
    *,
    highlight: str | None = None,
    only: Collection[int] | None = None,
    title: str | None = None,
    width: int = TEXT_WIDTH,
) -> Picture:
    """Draw one journal.

    Args:
        events: all events of it, in order: what an ack is about may stand far before it.
        highlight: the body of a message whose life is marked; others are folded more.
        only: draw the steps of these events alone (`Event.n`), such as a verdict's evidence.
        title: what stands above; without one, what the journal says of itself.
        width: how many characters a line of the text has.
    """
    story = story_of(events, highlight=highlight, only=only, title=title)
    return Picture(draw_svg(story, highlight=highlight), draw_text(story, width, highlight))


def story_of(
    events: Sequence[Event],
    *,
    highlight: str | None = None,
    only: Collection[int] | None = None,
    title: str | None = None,
) -> Story:
    """What is to be drawn."""
    reading = read(events)
    steps = shown(reading.steps, highlight=highlight, only=only)
    return Story(
        title or _title(events),
        side_by_side(reading.clients, steps),
        tuple(steps),
        tuple(reading.connections),
        tuple(reading.lives),
        tuple(reading.frozen),
    )


def _title(events: Sequence[Event]) -> str:
    told = next((event.data for event in events if event.kind == "run"), {})
    exercise, trial = str(told.get("exercise") or ""), str(told.get("trial") or "")
    return ": ".join(part for part in (exercise, trial) if part) or "What went over the wire"
