"""Conversations and runs, and how they are drawn: what the golden files hold.

After a change that is meant, `python -m tests.pictures.gallery` draws the golden files
anew; look at them (a browser shows the SVG) before they are committed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from labs.pictures.attempts import draw_attempts
from labs.pictures.builds import draw_builds
from labs.pictures.flow import draw_flow
from labs.pictures.partitions import draw_partitions
from labs.pictures.picture import Picture
from labs.pictures.sequence import draw_sequence
from labs.pictures.stages import draw_stages
from labs.pictures.tally import draw_tally
from labs.task_queue.stages import Move
from tests.pictures import runs
from tests.pictures.conversation import Conversation, killed_at_work

GOLDEN = Path(__file__).parent / "golden"


def frozen_worker_with_odd_letters() -> Conversation:
    """A copy is frozen, its message goes to the other; long bodies, and not of ASCII alone."""
    talk = Conversation(exercise="acknowledgements", trial="frozen", queue="Grüße")
    for copy in "AB":
        talk.starts(copy).connects(copy, heartbeat=1).consumes(copy, "Grüße", prefetch=1)
    rabbits, hebrew, long = "日本語のメッセージ、とても長い本文 🐇", "שלום <b>&amp;", "x" * 200
    talk.published(rabbits, hebrew, long)
    talk.delivers("A", rabbits).delivers("B", hebrew)
    talk.add("signal", "freeze", copy="A")
    for _ in range(3):
        talk.waits(0.5).frame("B", "client", "heartbeat").frame("B", "broker", "heartbeat")
    talk.says("B", f" [x] Done {hebrew}").acks("B", hebrew)
    talk.loses("A", by="broker", how="closed").works("B", rabbits, again=True)
    talk.add("signal", "thaw", copy="A").says("A", f"done {rabbits}")
    talk.connects("A", heartbeat=1).consumes("A", "Grüße", prefetch=1).works("A", long)
    talk.add("signal", "terminate", copy="A")
    return talk.add("exited", copy="A", data={"status": 0, "asked": True})


def producer_under_faults() -> Conversation:
    """Each publish meets another fate: confirmed, refused, returned, cut off."""
    talk = Conversation(exercise="confirms", trial="refused").starts("A")
    talk.add("input", copy="A", data={"text": "zebra\n"}).connects("A")
    talk.declares("A", "work", durable=True).frame("A", "client", "confirm.select")
    talk.publishes("A", "zebra").confirms("A", 1).says("A", "sent zebra")
    talk.add("fault", "refuse-publish", copy="A", connection=1)
    talk.publishes("A", "apple", swallowed=True).confirms("A", 2, "basic.nack", forged=True)
    talk.publishes("A", "apple").publishes("A", "mango").confirms("A", 4, multiple=True)
    talk.publishes("A", "kiwi", key="wrok", mandatory=True)
    talk.content("A", "broker", "basic.return", "kiwi", reply_text="NO_ROUTE",
                 routing_key="wrok").confirms("A", 5)  # fmt: skip
    talk.publishes("A", "plum")
    talk.add("fault", "cut", copy="A", connection=1, data={"how": "reset"})
    talk.loses("A", by="proxy").connects("A").publishes("A", "plum")
    talk.frame("A", "broker", "channel.close", reply_code=404, reply_text="NOT_FOUND - no queue")
    talk.leaves("A").add("exited", copy="A", data={"status": 1}).add("fault", "restart")
    return talk.left("zebra", "apple")


def poison(rounds: int = 300) -> Conversation:
    """One message is refused, and comes again at once, and again."""
    talk = Conversation(exercise="poison", trial="bad").starts("A").connects("A")
    talk.consumes("A", "work", prefetch=1).published("good", "bad apple", "not bad")
    talk.works("A", "good")
    for number in range(rounds):
        talk.delivers("A", "bad apple", again=number > 0)
        talk.settles("A", "bad apple", "basic.nack", requeue=True)
    return talk.works("A", "not bad")


def recorded() -> Conversation:
    """No judge: a recording of clients that name themselves, two of them at the same time."""
    talk = Conversation(judged=False, queue="hello")
    talk.connects("door").declares("door", "hello").publishes("door", "Hello World!").leaves("door")
    talk.connects("alice", name="alice").consumes("alice", "hello", auto_ack=True)
    talk.delivers("alice", "Hello World!").connects("bob", name="bob")
    return talk.publishes("bob", "?", exchange="logs", key="info").leaves("bob").leaves("alice")


PICTURES: dict[str, Callable[[], Picture]] = {
    "killed-5": lambda: draw_sequence(killed_at_work(5).events),
    "killed-200": lambda: draw_sequence(killed_at_work(200).events),
    "killed-50-one-life": lambda: draw_sequence(killed_at_work(50).events, highlight="job-03"),
    "frozen": lambda: draw_sequence(frozen_worker_with_odd_letters().events),
    "producer": lambda: draw_sequence(producer_under_faults().events),
    "poison": lambda: draw_sequence(poison().events),
    "recorded": lambda: draw_sequence(recorded().events),
    "attempts": lambda: draw_attempts(runs.some_jobs(), length_s=9),
    "attempts-many": lambda: draw_attempts(runs.many_jobs()),
    "builds": lambda: draw_builds(runs.every_state(), runs.A_KILL),
    "builds-many": lambda: draw_builds(runs.many_builds()),
    "partitions": lambda: draw_partitions(*runs.a_replica_dies()),
    "partitions-and-queue": lambda: draw_partitions(*runs.side_by_side()),
    "partitions-many": lambda: draw_partitions(*runs.long_lane()),
    "stages": draw_stages,
    "stages-of-a-run": lambda: draw_stages(
        sizes={"WAITING": 3, "PROCESSING": 2, "SUCCESS": 95},
        made={Move.PUT: 100, Move.CLAIM: 103, Move.SUCCEED: 95, Move.EXPIRE: 6},
    ),
    "tally": lambda: draw_tally("Requests that shared one commit", runs.COMMITS, unit="commits"),
    "flow": lambda: draw_flow(runs.a_worker_dies()),
    "flow-every-move": lambda: draw_flow(runs.every_move()),
    "flow-many": lambda: draw_flow(runs.many_tasks()),
}
"""A golden picture's name -> how it is drawn."""


def files(name: str, picture: Picture) -> dict[Path, str]:
    """What is kept of a picture."""
    texts = (picture.svg, picture.text)
    return {
        GOLDEN / f"{name}.{end}": f"{text}\n"
        for end, text in zip(("svg", "txt"), texts, strict=True)
    }


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        for path, text in files(name, draw()).items():
            path.write_text(text, encoding="utf-8")
