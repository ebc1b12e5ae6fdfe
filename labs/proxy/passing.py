"""What passes as one on a link: a frame alone, or a method with the message after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labs.amqp.frames import Frame
from labs.amqp.said import Said

if TYPE_CHECKING:
    from labs.proxy.armory import Armed


class Passing:
    """What is known of it while it passes, or is withheld."""

    __slots__ = (
        "body",
        "frame",
        "is_withheld",
        "left_b",
        "message_id",
        "said",
        "size_b",
        "striking",
        "tag",
        "withheld",
    )

    def __init__(self, frame: Frame, said: Said) -> None:
        self.frame = frame
        self.said = said
        self.striking: Sequence[Armed] = ()
        """The faults that strike at it."""
        self.is_withheld = False
        self.withheld: list[Said] = []
        """What its frames said, kept for the record until the message is whole."""
        self.tag = 0
        """The client's number of a publish to be confirmed."""
        self.size_b = 0
        self.left_b = 0
        """How much of the body is to come."""
        self.message_id: str | None = None
        self.body: str | None = None
        """Where it is short, and one frame."""

    @property
    def channel(self) -> int:
        """The channel's number."""
        return self.frame.channel
