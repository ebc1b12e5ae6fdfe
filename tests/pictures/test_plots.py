"""The plot of a queue: ready, unacknowledged and consumers over time, and in words."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import matplotlib

from labs.pictures.plots import queue_plot
from labs.pictures.samples import Sample, in_words

SAMPLES = (
    Sample(0.0, ready=0, unacknowledged=0, consumers=0),
    Sample(0.1, ready=9, unacknowledged=0, consumers=0),
    Sample(0.2, ready=3, unacknowledged=6, consumers=2),
    Sample(0.9, ready=0, unacknowledged=2, consumers=1),
)


def test_the_words_say_first_highest_and_last() -> None:
    assert in_words("work", SAMPLES) == (
        "Queue 'work' over 0.9 seconds. Ready: 0 at first, at most 9 (at 0.1 s), 0 at the end. "
        "Unacknowledged: at most 6 (at 0.2 s), 2 at the end. "
        "Consumers: at most 2, 1 at the end."
    )


def test_the_words_say_that_the_queue_is_gone() -> None:
    gone = Sample(1.0, ready=0, unacknowledged=0, consumers=0, exists=False)
    assert in_words("work", (*SAMPLES, gone)).endswith("At the end there is no such queue.")


def test_nothing_seen_is_said_and_drawn() -> None:
    assert queue_plot("work", ()).text == "Queue 'work': nothing was seen."


def test_the_plot_is_one_svg_element_with_its_words() -> None:
    picture = queue_plot("a <queue> & more", SAMPLES, unacknowledged_label="told by workers")
    root = ElementTree.fromstring(picture.svg)  # noqa: S314
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("aria-label") == picture.text
    assert "told by workers" in picture.svg
    assert "a &lt;queue&gt; &amp; more" in picture.svg


def test_the_plot_takes_the_colours_of_the_page() -> None:
    svg = queue_plot("work", SAMPLES).svg
    assert "var(--jp-ui-font-color1" in svg
    assert "var(--jp-layout-color0" in svg
    assert "#000000" not in svg


def test_the_same_samples_give_the_same_bytes_and_leave_matplotlib_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    assert queue_plot("work", SAMPLES).svg == queue_plot("work", SAMPLES).svg
    assert dict(matplotlib.rcParams) == before
