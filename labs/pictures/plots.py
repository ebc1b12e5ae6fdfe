"""A queue over time as a plot: the only place that uses matplotlib.

Samples go in, a `Picture` comes out. Nothing is shared between two plots: each
has a `Figure` of its own and pyplot is not used. Text and axes take the colours
of the page, so that the plot is readable on white and on black.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labs.pictures.picture import Picture
from labs.pictures.samples import Sample, in_words

READY, UNACKNOWLEDGED, CONSUMERS = "#2f7fc1", "#b9651b", "#8f62c9"
INK = "#010203"  # stands for the colour of the page's text until the SVG is written
INK_ON_PAGE = "var(--jp-ui-font-color1, #1f2328)"
PAPER = "#fdfcfb"
PAPER_ON_PAGE = "var(--jp-layout-color0, #ffffff)"
SVG_SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text, in the page's own font
    "svg.hashsalt": "labs",  # the same samples give the same bytes
}
ONE_AT_A_TIME = threading.Lock()
"""matplotlib keeps the settings above for the whole process; live plots come from threads."""


def queue_plot(
    queue: str, samples: Sequence[Sample], *, unacknowledged_label: str = "unacknowledged"
) -> Picture:
    """Ready and unacknowledged messages, and below them the consumers, over time."""
    figure = Figure(figsize=(8.2, 3.9), facecolor=PAPER, layout="constrained")
    messages, consumers = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    _draw_messages(messages, samples, unacknowledged_label)
    _draw_consumers(consumers, samples)
    messages.set_title(f"Queue '{queue}'", loc="left", fontsize=11, color=INK)
    file = io.StringIO()
    with ONE_AT_A_TIME, matplotlib.rc_context(SVG_SETTINGS):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(
        _for_the_page(file.getvalue(), in_words(queue, samples)), in_words(queue, samples)
    )


def _draw_messages(axes: Axes, samples: Sequence[Sample], unacknowledged_label: str) -> None:
    times = [sample.at_s for sample in samples]
    ready = [sample.ready for sample in samples]
    held = [sample.unacknowledged for sample in samples]
    axes.step(times, ready, where="post", color=READY, linewidth=2, label="ready (exact)")
    axes.step(
        times,
        held,
        where="post",
        color=UNACKNOWLEDGED,
        linewidth=2,
        linestyle=(0, (4, 1.5)),
        label=unacknowledged_label,
    )
    axes.set_ylabel("messages", color=INK)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),  # above the axes: no curve may hide it
        ncols=2,
        fontsize=9,
        frameon=False,
        labelcolor=INK,
    )
    _common(axes, max([*ready, *held, 1]))


def _draw_consumers(axes: Axes, samples: Sequence[Sample]) -> None:
    consumers = [sample.consumers for sample in samples]
    axes.step(
        [sample.at_s for sample in samples], consumers, where="post", color=CONSUMERS, linewidth=2
    )
    axes.set_ylabel("consumers", color=INK)
    axes.set_xlabel("seconds", color=INK)
    _common(axes, max([*consumers, 1]))


def _common(axes: Axes, highest: int) -> None:
    axes.set_facecolor("none")
    axes.set_ylim(-0.04 * highest, 1.12 * highest)
    axes.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    axes.grid(visible=True, color="#808080", alpha=0.3, linewidth=0.6)
    axes.tick_params(color=INK, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)


def _for_the_page(svg: str, text: str) -> str:
    """Only the element, with its text alternative, in the page's colours."""
    opening, rest = svg[svg.index("<svg") :].strip().split(">", 1)
    alternative = escape(text.replace("\n", " "))
    opening = opening.replace(
        "<svg", f'<svg role="img" aria-label="{alternative}" style="max-width:100%;height:auto"', 1
    )
    rest = rest.replace(INK, INK_ON_PAGE).replace(PAPER, PAPER_ON_PAGE)
    return f"{opening}><desc>{alternative}</desc>{rest}"
