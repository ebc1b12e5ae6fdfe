"""A queue at one moment, and what many such moments say in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """What was seen of a queue `at_s` seconds after the start."""

    at_s: float
    ready: int
    unacknowledged: int
    consumers: int
    exists: bool = True


def in_words(queue: str, samples: Sequence[Sample]) -> str:
    """What the samples show, as a sentence or two: the plot's text alternative."""
    if not samples:
        return f"Queue {queue!r}: nothing was seen."
    last = samples[-1]
    highest = max(samples, key=lambda sample: sample.ready)
    held = max(samples, key=lambda sample: sample.unacknowledged)
    most = max(sample.consumers for sample in samples)
    gone = "" if last.exists else " At the end there is no such queue."
    return (
        f"Queue {queue!r} over {last.at_s - samples[0].at_s:.1f} seconds. "
        f"Ready: {samples[0].ready} at first, at most {highest.ready} "
        f"(at {highest.at_s:.1f} s), {last.ready} at the end. "
        f"Unacknowledged: at most {held.unacknowledged} (at {held.at_s:.1f} s), "
        f"{last.unacknowledged} at the end. Consumers: at most {most}, "
        f"{last.consumers} at the end.{gone}"
    )
