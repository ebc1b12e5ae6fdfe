"""A channel's publisher confirms, when what client and broker count is no longer the same.

The client numbers its publishes from 1, and the broker those that reach it. A publish
that was refused on the way makes the two differ from there on; a confirm that was
dropped must not be given away by a later one that says *all up to here*. Here each
number of the broker's is known by the client's, and the confirms that the client is to
get are worked out. Pure bookkeeping.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Settled(NamedTuple):
    """What a confirm says, in the client's numbers."""

    delivery_tag: int
    multiple: bool


@dataclass
class Confirms:
    """One channel in confirm mode."""

    published: int = 0
    """How many the client has published."""
    passed: int = 0
    """How many of them the broker has got."""
    waiting: dict[int, int] = field(default_factory=dict)
    """The broker's number of each that it has not confirmed yet -> the client's; in order."""
    dropped: set[int] = field(default_factory=set)
    """The client's numbers of those whose confirm is never to arrive."""
    held: list[int] = field(default_factory=list)
    """The client's numbers of those that the broker has confirmed, and the client is not told."""

    @property
    def is_plain(self) -> bool:
        """Whether client and broker still count alike, and nothing is kept from the client."""
        return self.published == self.passed and not self.dropped

    def publish(self, *, passes: bool) -> int:
        """The client published one: its number. `passes`: it goes to the broker."""
        self.published += 1
        if passes:
            self.passed += 1
            self.waiting[self.passed] = self.published
        return self.published

    def settle(self, tag: int, multiple: bool) -> list[int]:
        """The broker confirmed: which of the client's numbers that settles.

        0 with `multiple` stands for all.
        """
        if not multiple:
            found = self.waiting.pop(tag, None)
            return [] if found is None else [found]
        upto = tag or self.passed
        tags = []
        for number in self.waiting:
            if number > upto:
                break
            tags.append(number)
        return [self.waiting.pop(number) for number in tags]

    def said_to_client(self, tags: list[int], multiple: bool) -> list[Settled]:
        """How the client is told of these, which are in order; nothing of those dropped."""
        told = [tag for tag in tags if tag not in self.dropped]
        if not told:
            return []
        if multiple and not any(tag < told[-1] for tag in self.dropped):
            return [Settled(told[-1], True)]
        return [Settled(tag, False) for tag in told]

    def release(self) -> list[Settled]:
        """The held confirms, as few as can say it; none is held any more."""
        held, self.held = sorted(self.held), []
        unsettled = min([*list(self.waiting.values())[:1], *self.dropped], default=None)
        together = [tag for tag in held if unsettled is None or tag < unsettled]
        rest = [Settled(tag, False) for tag in held[len(together) :]]
        if not together:
            return rest
        return [Settled(together[-1], len(together) > 1), *rest]
