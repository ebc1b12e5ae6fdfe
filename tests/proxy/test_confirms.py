"""Whatever is refused, dropped or told together: a publisher is told the truth, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from labs.proxy.faults import ConfirmTogether, DropConfirm, Fault, RefusePublish
from tests.proxy.talk import Talk

PUBLISHES = 8
NUMBERS = st.integers(1, PUBLISHES)


class Publisher:
    """What a program believes of its publishes, from the confirms that it gets."""

    def __init__(self) -> None:
        self.open = set(range(1, PUBLISHES + 1))
        self.acked: set[int] = set()
        self.nacked: set[int] = set()

    def hear(self, told: list[tuple[str, int, bool]]) -> None:
        for name, tag, multiple in told:
            meant = {n for n in self.open if n <= tag} if multiple else {tag}
            assert meant <= self.open, "told twice, or of what it never published"
            self.open -= meant
            (self.acked if name == "ack" else self.nacked).update(meant)


@given(
    refused=st.sets(NUMBERS, max_size=3),
    dropped=st.sets(NUMBERS, max_size=3),
    together=st.none() | st.integers(2, 5),
    order=st.permutations(range(1, PUBLISHES + 1)),
    multiples=st.sets(NUMBERS),
    nacks=st.sets(NUMBERS, max_size=2),
)
def test_a_publisher_is_told_the_truth_once(
    refused: set[int],
    dropped: set[int],
    together: int | None,
    order: list[int],
    multiples: set[int],
    nacks: set[int],
) -> None:
    faults: list[Fault] = [RefusePublish(n) for n in refused]
    faults += [DropConfirm(n) for n in dropped - refused]
    faults += [ConfirmTogether(together, within_s=1.0)] if together else []
    talk = Talk(*faults).confirm_mode()
    publisher = Publisher()
    reached = [n for n in range(1, PUBLISHES + 1) if n not in refused]

    talk.publish(*(str(n) for n in range(1, PUBLISHES + 1)))
    assert talk.bodies_at_broker() == [str(n) for n in reached]
    publisher.hear(talk.confirms_at_client())
    assert publisher.nacked == refused

    # The broker confirms what has reached it, by its own numbers, in any order.
    unsaid, acked, nacked = set(range(1, len(reached) + 1)), set[int](), set[int]()
    for number in order:
        if number not in unsaid:
            continue
        multiple = number in multiples
        meant = {n for n in unsaid if n <= number} if multiple else {number}
        unsaid -= meant
        if number in nacks:
            talk.broker(commands.Basic.Nack(number, multiple, False))
            nacked |= {reached[n - 1] for n in meant}
        else:
            talk.broker(commands.Basic.Ack(number, multiple))
            acked |= {reached[n - 1] for n in meant}
        publisher.hear(talk.confirms_at_client())
        assert publisher.acked <= acked - dropped
    talk.wait(1.0)
    publisher.hear(talk.confirms_at_client())

    assert publisher.acked == acked - dropped
    assert publisher.nacked == (nacked - dropped) | refused
    assert publisher.open == (acked | nacked) & dropped
