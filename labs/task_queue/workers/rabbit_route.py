"""Where a broker's worker sends tasks that are not all for the same consumers: by routing key.

All go to one topic exchange, each with the routing key of its body. Consumers bind queues of
their own to it, or find those that the worker makes. A dead letter keeps its routing key, which
would lead it back to where its workers died of it; so it goes to an exchange of its own, which
knows its sender by a header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labs.task_queue.errors import BadTask
from labs.task_queue.tasks import Json

OUTCOMES = "outcomes"
"""The header by which a routed message's dead letter comes to its sender."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where messages go that are not all for the same consumers.

    Raises:
        BadTask: a queue is to be made that would take others' messages too.
    """

    exchange: str
    """A topic exchange. Consumers bind queues of their own to it; those with the dead letter
    exchange `<exchange>.dead` can give messages up."""
    key: Callable[[Json], str]
    """A body's routing key."""
    queues: tuple[str, ...] = ()
    """For each of these keys a queue is made and bound (`queue_for`), if there is none."""

    def __post_init__(self) -> None:
        """Refuse what a topic exchange takes for a pattern."""
        for key in self.queues:
            if {"*", "#"} & set(key.split(".")):
                raise BadTask(
                    f"No queue is made for the routing key {key!r:.80}: * and # stand for any.",
                    remedy="Take another name, or bind such a queue yourself.",
                )

    @property
    def dead(self) -> str:
        """The exchange of dead letters."""
        return f"{self.exchange}.dead"

    def queue_for(self, key: str) -> str:
        """The queue that is made for a key: `<exchange>.<key>`."""
        return f"{self.exchange}.{key}" if key else self.exchange
