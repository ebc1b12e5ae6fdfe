"""A story drawn with letters, for a terminal: box drawing, plain arrows, no colour needed.

A `Story` goes in, lines come out, none wider than asked for. Times stand at the left;
lifelines are columns: `┃` while a connection is open, `│` while the process lives, `┊`
while it is frozen, nothing when it is dead. `»` marks the highlighted message's rows.
"""

from __future__ import annotations

from labs.pictures.letters import columns, cut, width_of
from labs.pictures.sequence_steps import EDGE, OUTSIDE, Fate, Kind, Place, Step, Story

TIMES = 11  # columns for the time and the mark of the highlight
WIDEST_GAP = 44
PAUSE_S = 0.5
"""A longer time between two rows is shown as a row of its own."""
BULLETS = {Kind.SAY: "●", Kind.BLOW: "✗", Kind.PROCESS: "■", Kind.LOOK: "□"}


def draw_text(story: Story, width: int, highlight: str | None = None) -> str:
    """The story in lines of at most `width` columns."""
    return _Text(story, width, highlight).draw()


class _Text:
    def __init__(self, story: Story, width: int, highlight: str | None) -> None:
        self.story, self.width, self.highlight = story, width, highlight
        count = len(story.lifelines)
        self.gap = max(6, min(WIDEST_GAP, (width - TIMES - 12) // max(count - 1, 1)))
        first = TIMES + 6
        self.x = {line.key: first + i * self.gap for i, line in enumerate(story.lifelines)}
        middle = [self.x[li.key] for li in story.lifelines if li.place is not Place.CLIENT]
        inset = min(3, self.gap // 4)
        self.edges = (min(middle) - inset, max(middle) + inset)
        self.middle = (min(middle) + max(middle)) / 2
        self.frozen = [(span.lifeline, story.rows(span)) for span in story.frozen]
        self.connected = [(span.lifeline, story.rows(span)) for span in story.connections]
        self.lives = [(span.lifeline, story.rows(span)) for span in story.lives]

    def draw(self) -> str:
        """All lines."""
        lines = [cut(self.story.title, self.width), self._heads()]
        before: Step | None = None
        for index, step in enumerate(self.story.steps):
            if before and step.at_s - before.ended_s >= PAUSE_S:
                waited = f"{step.at_s - before.ended_s:.1f} s"
                lines.append(self._line(index, f"{waited:>{TIMES - 2}}", pause=True))
            lines.append(self._row(index, step))
            before = step
        lines.append(self._heads())
        return "\n".join(line.rstrip() for line in lines)

    def _heads(self) -> str:
        cells = _Cells(self.width)
        for line in self.story.lifelines:
            name = cut(line.name, self.gap - 2)
            cells.write(max(0, self.x[line.key] - width_of(name) // 2), name)
        cells.write(TIMES - 7, "time")
        return str(cells)

    def _row(self, index: int, step: Step) -> str:
        cells = _Cells(self.width)
        if step.kind is Kind.FOLD:
            label = cut(step.label, self.width - TIMES - 2)
            cells.write(TIMES + 2, label)
            return str(cells)
        marked = self.highlight is not None and self.highlight in step.bodies
        time = f"{'»' if marked else ' '}{step.at_s:{TIMES - 4}.3f} s"
        cells = self._lifelines(index)
        cells.write(0, time)
        if step.target:
            self._arrow(cells, step)
        else:
            self._mark(cells, step)
        return str(cells)

    def _line(self, index: int, time: str, *, pause: bool) -> str:
        cells = self._lifelines(index, pause=pause)
        cells.write(0, time)
        return str(cells)

    def _lifelines(self, index: int, *, pause: bool = False) -> _Cells:
        cells = _Cells(self.width)
        for line in self.story.lifelines:
            letter = "│"
            if line.place is Place.CLIENT:
                lives = [rows for key, rows in self.lives if key == line.key]
                if lives and not any(index in rows for rows in lives):
                    letter = " "
                if any(key == line.key and index in rows for key, rows in self.connected):
                    letter = "┃"
                if any(key == line.key and index in rows for key, rows in self.frozen):
                    letter = "┊"
            cells.write(self.x[line.key], ":" if pause and letter != " " else letter)
        return cells

    def _arrow(self, cells: _Cells, step: Step) -> None:
        start, end = self._ends(step)
        rightwards = start < end
        low, high = min(start, end) + 1, max(start, end)  # the cells between
        if step.target == EDGE or step.source == EDGE:
            cells.write(self._edge_of(step), "┊")
        room = high - low
        if step.fate is Fate.SWALLOWED:
            room = max(6, room * 3 // 4)
        label = step.words(room - 4)
        dashes = "─" * (room - 4 - width_of(label))
        head = "✗" if step.fate is Fate.SWALLOWED else ">" if rightwards else "<"
        tail = "✗" if step.fate is Fate.FORGED else "─"
        if rightwards:
            cells.write(low, f"{tail} {label} {dashes}{head}")
        else:
            cells.write(high - room, f"{head}{dashes} {label} {tail}")

    def _ends(self, step: Step) -> tuple[int, int]:
        source, target = step.source, step.target
        if source == OUTSIDE:
            return self.x[target] - min(self.gap, WIDEST_GAP) + 2, self.x[target]
        ends = [self._edge_of(step) if key == EDGE else self.x[key] for key in (source, target)]
        return ends[0], ends[1]

    def _edge_of(self, step: Step) -> int:
        """The side of the broker that a step's client stands on."""
        if EDGE in self.x:
            return self.x[EDGE]
        client = step.source if step.target == EDGE else step.target
        return self.edges[0] if self.x[client] < self.middle else self.edges[1]

    def _mark(self, cells: _Cells, step: Step) -> None:
        bullet = BULLETS.get(step.kind, "!")
        at = self.x.get(step.source)
        if at is None:  # about the broker, or about all
            label = step.words(self.width - TIMES - 8)
            at = max(TIMES, int(self.middle) - width_of(label) // 2 - 3)
            cells.write(at, f"══ {label} ══")
            return
        cells.write(at, bullet)
        if at > self.middle and step.source.startswith("client"):
            room = min(at - 2, self.gap - 3)
            label = step.words(room)
            cells.write(at - 1 - width_of(label), label)
        else:
            room = min(self.width - at - 2, self.gap - 3 if at < self.middle else self.width)
            label = step.words(room)
            cells.write(at + 2, label)


class _Cells:
    """One line of a terminal, column by column."""

    def __init__(self, width: int) -> None:
        self._cells = [" "] * width

    def write(self, at: int, text: str) -> None:
        """Put a text at a column, over what is there; what lies outside is left out."""
        for letter in text:
            took = columns(letter)
            if took == 0 and 0 < at <= len(self._cells):
                self._cells[at - 1] += letter
            elif at >= 0 and at + took <= len(self._cells):
                self._cells[at : at + took] = [letter, *[""] * (took - 1)]
            at += took

    def __str__(self) -> str:
        return "".join(self._cells)
