"""What is alive on the page: one output that is shown once and then changed in place.

`Live` is the only place that speaks to IPython's display. It shows a piece of
HTML with the same in plain text, changes it at most eight times a second, and
leaves the last state in the notebook's file. Outside a notebook it stays silent,
so that the same code runs in a script and in tests. `panes` and `progress_bar`
make the pieces; they are pure.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from IPython import get_ipython
from IPython.display import display, update_display

INTERVAL_S = 0.125
# Mid-tones that stand out on white and on black alike; the name always stands beside the colour.
COLOURS = ("#2f7fc1", "#b9651b", "#3f8f4f", "#8f62c9", "#b8528a", "#6f7d1f")
LINES_SHOWN = 12


@dataclass(frozen=True)
class Piece:
    """The same thing twice: as HTML for a page and as text for a terminal."""

    html: str
    text: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __str__(self) -> str:
        return self.text


class Displayed(Protocol):
    """What can be put on the page: a `Piece`, a `Picture`."""

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]: ...


class Live:
    """One output of a cell, changed in place while things happen."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._shown: Displayed | None = None
        self._last_s = 0.0
        self._lock = threading.Lock()

    def show(self, piece: Displayed, *, now: bool = False) -> None:
        """Show this from now on; without `now` it may be skipped, if shown too soon after another.

        Who shows something last shows it with `now`, so that the file keeps it.
        """
        with self._lock:
            too_soon = time.monotonic() - self._last_s < INTERVAL_S
            if not in_notebook() or piece == self._shown or (too_soon and not now):
                return
            bundle = piece._repr_mimebundle_()
            if self._id is None:
                self._id = f"labs-{id(self)}-{time.time_ns()}"
                display(bundle, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]
            else:
                update_display(bundle, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]
            self._shown = piece
            self._last_s = time.monotonic()


def in_notebook() -> bool:
    """Whether there is a page to show things on."""
    return getattr(get_ipython(), "kernel", None) is not None


def show(piece: Piece) -> None:
    """Show something once: on the page, or as text where there is none."""
    if get_ipython() is None:
        print(piece.text)
    else:
        display(piece)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Pane:
    """One worker as a small terminal: who it is, how it fares, what it said last."""

    name: str
    state: str
    lines: Sequence[str]
    lines_before: int = 0
    """How many lines it said before those that are here."""


def panes(all_panes: Sequence[Pane]) -> Piece:
    """Workers side by side, like terminals on a desk."""
    html = "".join(
        _pane_html(pane, COLOURS[index % len(COLOURS)]) for index, pane in enumerate(all_panes)
    )
    text = "\n".join(
        "\n".join([f"{pane.name} ({pane.state})", *_above(pane), *pane.lines]) for pane in all_panes
    )
    return Piece(f'<div style="display:flex;flex-wrap:wrap;gap:10px">{html}</div>', text)


def _above(pane: Pane) -> list[str]:
    if pane.lines_before == 0:
        return []
    return [f" … {pane.lines_before} earlier line{'s' if pane.lines_before > 1 else ''}"]


def _pane_html(pane: Pane, colour: str) -> str:
    lines = escape("\n".join([*_above(pane), *pane.lines]) or " ")
    return (
        f'<div role="group" aria-label="worker {escape(pane.name)}" style="flex:1 1 15em;'
        f"min-width:13em;max-width:32em;border:1px solid {colour};border-radius:5px;"
        f'overflow:hidden"><div style="padding:2px 8px;border-bottom:1px solid {colour};'
        f'border-left:8px solid {colour}"><b>{escape(pane.name)}</b>'
        f' <span style="opacity:.85">{escape(pane.state)}</span></div>'
        '<pre style="margin:0;padding:4px 8px;font-size:.85em;line-height:1.35;'
        f'white-space:pre-wrap;overflow-wrap:anywhere">{lines}</pre></div>'
    )


def progress_bar(label: str, done: int | None, total: int | None) -> Piece:
    """How far something is; `done` None: it is not known how far, only that it goes on."""
    if done is None or total is None:
        text = f"{label} …"
        bar = f'<progress aria-label="{escape(label)}"></progress>'
        return Piece(f"<div>{bar} {escape(text)}</div>", text)
    done = min(done, total)
    share = done / total if total else 1.0
    words = f"{label}: {done} of {total}"
    filled = round(20 * share)
    bar = f'<progress value="{done}" max="{total}" aria-label="{escape(words)}"></progress>'
    text = f"[{'#' * filled}{'.' * (20 - filled)}] {words}"
    return Piece(f"<div>{bar} {escape(words)}</div>", text)


class Progress:
    """A progress bar that appears only if something takes longer than two seconds."""

    PATIENCE_S = 2.0

    def __init__(self, label: str, total: int | None = None) -> None:
        self._label, self._total = label, total
        self._live = Live()
        self._begun_s = time.monotonic()

    def update(self, done: int | None = None) -> None:
        """Say how far it is."""
        if time.monotonic() - self._begun_s >= self.PATIENCE_S:
            self._live.show(progress_bar(self._label, done, self._total))

    def finish(self, done: int | None = None) -> None:
        """Leave the last state on the page, with how long it took; nothing, if it was quick."""
        took_s = time.monotonic() - self._begun_s
        if took_s >= self.PATIENCE_S:
            reached = f"{done} of {self._total}, " if self._total is not None else ""
            text = f"{self._label}: {reached}{took_s:.0f} s."
            self._live.show(Piece(f"<div>{escape(text)}</div>", text), now=True)


@contextlib.contextmanager
def busy(label: str) -> Iterator[None]:
    """A progress bar for the length of a `with` block of which nobody knows how long it takes."""
    progress, ended = Progress(label), threading.Event()

    def run() -> None:
        while not ended.wait(0.5):
            progress.update()

    thread = threading.Thread(target=run, name="labs-busy", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5.0)
        progress.finish()


class LivePicture:
    """A picture drawn again and again while something happens, and once more at its end."""

    def __init__(self, draw: Callable[[], Displayed], every_s: float) -> None:
        self._draw, self._every_s = draw, every_s
        self._live = Live()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labs-picture", daemon=True)
        self._live.show(draw(), now=True)
        self._thread.start()

    def finish(self) -> None:
        """Draw the last state, which stays in the file."""
        self._ended.set()
        self._thread.join(5.0)
        self._live.show(self._draw(), now=True)

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            with contextlib.suppress(Exception):  # the last drawing tells, in the open
                self._live.show(self._draw())
