"""One trial on RabbitMQ: the one place where program, proxy, broker and journal meet.

A trial takes its plan (steps, bodies) as data, runs the steps one after the other,
ends the program, looks a last time into the queues, and cleans up whatever came of
it. All that a verdict needs stands in the journal; nothing is judged here. How copies
are kept and waited for is said in `labs.judge.copies`, with the notes that a trial writes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from labs.broker.connection import log_in
from labs.errors import NotPossibleHere
from labs.journal import Event, Journal
from labs.judge.bodies import make_bodies
from labs.judge.copies import Copies, trouble_noted, write_first
from labs.judge.ground import Ground, ground_for
from labs.judge.lives import Delivery
from labs.judge.plan import Plan, Setting
from labs.judge.queues import Queues
from labs.proxy.server import Proxy, Upstream


def run_trial(
    plan: Plan[Any], setting: Setting, make: type[Trial] | None = None
) -> Sequence[Event]:
    """Run one trial from beginning to end; its journal.

    `make`: the kind of trial, where it is more than a `Trial`.

    What fails of the kit or the broker is a note in the journal: it is not the
    learner's fault.

    Raises:
        CannotStart: the learner's command can't be run.
        Cancelled: the check is to end.
    """
    journal = Journal()
    bodies = make_bodies(f"{setting.seed}/{setting.exercise}/{plan.name}", plan.waves)
    queue = f"{setting.exercise}-{bodies[0][0][0].lower()}{bodies[-1][-1][0].lower()}"
    assert setting.broker, "the engine has seen to it"
    try:
        ground = ground_for(setting.broker, queue, setting.note, restarts=plan.restarts)
    except NotPossibleHere as reason:
        begin(journal, plan, setting, queue)
        journal.append("note", "not-possible-here", data={"fault": "restart", "why": str(reason)})
        return journal.events
    with trouble_noted(journal, plan, setting, queue=queue, broker=""), ground:
        (make or Trial)(plan, setting, ground, journal, bodies).run()
    return journal.events


def begin(journal: Journal, plan: Plan[Any], setting: Setting, queue: str, **more: str) -> Event:
    """Write the first event: what this run is."""
    return write_first(journal, plan, setting, queue=queue, **{"broker": "", **more})


class Trial(Copies):
    """A trial on RabbitMQ while it runs."""

    def __init__(
        self,
        plan: Plan[Trial],
        setting: Setting,
        ground: Ground,
        journal: Journal,
        bodies: list[list[str]],
    ) -> None:
        super().__init__(plan, setting, journal, bodies)
        self.ground = ground
        self.queues = Queues(ground, journal, self.history)
        self.proxy: Proxy
        """The way to the broker, while the trial runs."""

    # --- The broker, and the way to it -------------------------------------------------------

    known_by: str | None = None
    """What member of a message names it, where messages are JSON; None: the body does."""

    def begin(self) -> Event:
        """Log in, which says which broker it is."""
        facts = log_in(self.ground.address)
        broker = f"{facts.product} {facts.version}"
        more = {"known_by": self.known_by} if self.known_by else {}
        plan, setting = self.plan, self._setting
        return begin(self.journal, plan, setting, self.queues.name, broker=broker, **more)

    @contextmanager
    def stage(self) -> Iterator[None]:
        """The proxy, through which every copy goes by a door of its own."""
        address = self.ground.address
        upstream = Upstream(address.host, address.port, address.tls)
        faults = self.plan.faults
        with Proxy(upstream, self.journal, faults=faults, before_settle=self.drain) as self.proxy:
            yield

    def environment(self, copy: str) -> Mapping[str, str]:
        """AMQP_URL, which leads to the proxy, and QUEUE."""
        port = self.proxy.open(copy)
        through = replace(self.ground.address, host="127.0.0.1", port=port, tls=False)
        return {"AMQP_URL": through.url, "QUEUE": self.queues.name}

    @property
    def secret(self) -> str:
        """The password of the trial's user."""
        return self.ground.address.password

    def look(self) -> None:
        """What is in the queues now."""
        self.queues.look()

    def look_a_last_time(self) -> None:
        """Take out what is left in the queues."""
        self.queues.wait_until_requeued()
        for queue in self.queues.declared():
            self.queues.take_all(queue)

    def open_connections(self, copy: str) -> list[int]:
        """The numbers of the copy's connections that are open."""
        return [one.number for one in self.proxy.connections(copy) if one.is_open]

    def is_connected(self, copy: str) -> bool:
        """Whether it has a connection."""
        return bool(self.open_connections(copy))

    def cut_off(self, copy: str) -> None:
        """Cut its connections."""
        self.proxy.cut(copy)

    def publish(self, number: int) -> None:
        """Publish a wave.

        Raises:
            GaveUp: there is no queue to publish to.
        """
        self.publish_bodies(self.bodies[number], wave=number + 1)

    def publish_bodies(self, bodies: Sequence[str], **more: Any) -> None:
        """Publish messages with these bodies, each with a record of it; raises as `publish`."""

        def messages() -> Iterator[tuple[str, str]]:
            for body in bodies:
                text, message_id, about = self.message(body)
                # On record before it is on its way: a delivery must not stand before it.
                data = {"body": text, "message_id": message_id, **more, **about}
                self.journal.append("published", data=data)
                self.given.append(body)
                yield text, message_id

        if not self.queues.publish(messages()):
            self.give_up("ready", "no-queue")

    def message(self, body: str) -> tuple[str, str, Mapping[str, Any]]:
        """What goes into the queue for a body, its message_id, and what else is to be on record."""
        return body, f"{self.plan.name}-{len(self.given) + 1}-{secrets.token_hex(4)}", {}

    # --- What is in work ---------------------------------------------------------------------

    def longest_work_s(self) -> float:
        """The longest work on a message that a copy was sent and is not done with."""
        return max((self.history.work_s(d.message.body) for d in self.in_work()), default=0.0)

    def works_unseen(self) -> bool:
        """Whether a copy may still be at the work on a message that went back to the queue."""
        running = {program.copy for program in self.running()}
        return any(
            self.now_s() < delivery.event.at_s + self.history.work_s(delivery.message.body)
            for delivery in self.history.deliveries
            if delivery.returned and not delivery.done and delivery.copy in running
        )

    def in_work(self, copy: str | None = None) -> list[Delivery]:
        """What a copy (None: any that runs) was sent, and is not done with."""
        copies = [copy] if copy else [program.copy for program in self.running()]
        return [delivery for one in copies for delivery in self.history.in_hand(one)]
