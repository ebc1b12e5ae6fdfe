"""Errors of pika and the operating system in words: what happened, why, what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """An error in words."""

    what: str
    cause: str
    cure: str


def explain(error: BaseException) -> Explanation:
    """What the error means; for one that is not known, its own words."""
    return Explanation(f"{type(error).__name__}: {error!r}", "", "Run `labs doctor`.")
