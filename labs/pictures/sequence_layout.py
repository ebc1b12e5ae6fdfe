"""Where everything of a sequence diagram stands, in pixels.

A `Story` goes in; a `Layout` says which lifeline is how far to the right, which row how
far down, where the broker's panel lies, and how connections of one client that are open
at the same time stand beside each other. It draws nothing.
"""

from __future__ import annotations

from labs.pictures.letters import cut, plain, width_of
from labs.pictures.sequence_steps import EDGE, OUTSIDE, Kind, Lifeline, Place, Span, Step, Story

TIMES, MARGIN, HEAD, ROW, PAUSE = 74, 76, 30, 27, 12
TOP, BOTTOM = 38, 14  # above the heads (the title), below the last row
PAUSE_S = 0.5
"""A longer time between two rows is shown as a wider step, with its length."""
LETTER, BOLD = 6.6, 7.3  # pixels that a letter takes, about
HEADS_AGAIN = 24  # rows: longer diagrams have their heads at the bottom too
BAR, BESIDE = 7.0, 10.0  # a connection's width; how far one stands beside another


class Layout:
    """The places of a story's lifelines (`x`, by key), rows (`y`, by index) and connections."""

    def __init__(self, story: Story) -> None:
        self.story = story
        count = len(story.lifelines)
        self.gap = max(120.0, min(290.0, 780.0 / max(count - 1, 1)))
        self.x = {line.key: TIMES + MARGIN + i * self.gap for i, line in enumerate(story.lifelines)}
        last = self.half_head(story.lifelines[-1]) + 10
        self.width = round(TIMES + MARGIN + self.gap * (count - 1) + max(MARGIN, last))
        middle = [self.x[li.key] for li in story.lifelines if li.place is not Place.CLIENT]
        inset = min(100.0, self.gap * 0.34)
        self.panel = (min(middle) - inset, max(middle) + inset)
        self.middle = (min(middle) + max(middle)) / 2
        self.y = self._rows()
        self.end = (self.y[-1] if self.y else TOP + HEAD) + 16
        self.bars = self._bars()
        self.heads_again = len(story.steps) > HEADS_AGAIN
        self.height = round(self.end + (HEAD + 6 if self.heads_again else 0) + BOTTOM)

    def _rows(self) -> list[float]:
        """The height of each row's arrow."""
        places, y = [], float(TOP + HEAD - 8)
        for index, step in enumerate(self.story.steps):
            y += ROW + (PAUSE if self.pause_before(index) else 0)
            places.append(y - (4 if step.kind is Kind.FOLD else 0))
        return places

    def pause_before(self, index: int) -> float:
        """How long nothing happened before a row, in seconds; 0 if not for long."""
        if index == 0:
            return 0.0
        waited = self.story.steps[index].at_s - self.story.steps[index - 1].ended_s
        return waited if waited >= PAUSE_S else 0.0

    def _bars(self) -> dict[int | None, tuple[Span, float]]:
        """Each connection with its place: beside those that are open at the same time."""
        bars: dict[int | None, tuple[Span, float]] = {}
        taken: list[tuple[str, int, range]] = []
        for span in self.story.connections:
            if span.lifeline not in self.x:
                continue
            rows = self.story.rows(span)
            slot = 0
            while any(
                (key, place) == (span.lifeline, slot) and set(rows) & set(others)
                for key, place, others in taken
            ):
                slot += 1
            taken.append((span.lifeline, slot, rows))
            away = -1 if self.x[span.lifeline] < self.middle else 1
            bars[span.connection] = (span, self.x[span.lifeline] + away * slot * BESIDE)
        return bars

    def end_of(self, key: str, step: Step, other: str) -> float:
        """Where an arrow between the lifelines `key` and `other` meets the first."""
        if key == OUTSIDE:
            return self.x[other] - min(self.gap * 0.85, 240)
        if key == EDGE:
            if EDGE in self.x:
                return self.x[EDGE]
            return self.panel[0] if self.x.get(other, 0) < self.middle else self.panel[1]
        x = self.x[key]
        if key.startswith("client") and step.connection in self.bars:
            x = self.bars[step.connection][1]
            towards = self.middle if other in (EDGE, OUTSIDE, "") else self.x[other]
            return x + (BAR / 2 if towards > x else -BAR / 2)
        return x

    def stretch(self, span: Span) -> tuple[float, float]:
        """From where to where a span goes down its lifeline."""
        rows = self.story.rows(span)
        if not rows:
            return (0.0, 0.0)
        last = self.end if span.last is None else self.y[rows[-1]]
        return self.y[rows[0]], last

    def name(self, line: Lifeline) -> str:
        """A lifeline's name as far as there is room for it.

        Of `whose: what for` the first gives way: the connections of one program differ in the
        second.
        """
        room = int(min(self.gap - 14, 196) / BOLD) - 2
        name = plain(line.name)
        whose, colon, what_for = name.rpartition(": ")
        left = room - width_of(colon + what_for)
        return f"{cut(whose, left)}{colon}{what_for}" if left > 0 else cut(name, room)

    def half_head(self, line: Lifeline) -> float:
        """Half the width of a lifeline's head."""
        return max(width_of(self.name(line)) * BOLD / 2 + 8, 26)
