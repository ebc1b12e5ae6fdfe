"""Sequence diagrams: the story that events tell, folded to be read, drawn the same each time."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from labs.journal import Event
from labs.pictures.letters import width_of
from labs.pictures.sequence import TEXT_WIDTH, draw_sequence, story_of
from labs.pictures.sequence_steps import EDGE, Kind, Step
from tests.pictures.conversation import Conversation, killed_at_work
from tests.pictures.gallery import GOLDEN, PICTURES, files, poison, producer_under_faults

SVG = "{http://www.w3.org/2000/svg}"


def told(talk: Conversation, **options: object) -> list[str]:
    """The words of the picture for who can't see it, without the times."""
    words = story_of(talk.events, **options).in_words()  # type: ignore[arg-type]
    return [line.split(" s, ", 1)[-1].rstrip(".") for line in words.splitlines()[1:]]


def steps(talk: Conversation, **options: object) -> tuple[Step, ...]:
    return story_of(talk.events, **options).steps  # type: ignore[arg-type]


def working() -> Conversation:
    """A copy that has connected and consumes."""
    return Conversation().starts("A").connects("A").consumes("A", "work", prefetch=1)


# Golden files


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_the_same_to_the_byte(name: str) -> None:
    for path, text in files(name, PICTURES[name]()).items():
        assert path.read_text(encoding="utf-8") == text, f"look at {path.name}; see gallery.py"


def test_no_golden_file_is_left_over() -> None:
    drawn = {path.name for name in PICTURES for path in files(name, PICTURES[name]())}
    assert {path.name for path in GOLDEN.iterdir()} == drawn


@pytest.mark.parametrize("name", PICTURES)
def test_the_svg_is_well_formed_has_its_words_and_the_colours_of_light_and_dark(name: str) -> None:
    picture = PICTURES[name]()
    root = ElementTree.fromstring(picture.svg)  # noqa: S314
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert title is not None
    assert title.text
    assert desc is not None
    assert root.get("aria-label") == desc.text
    assert "prefers-color-scheme:dark" in picture.svg
    assert "var(--jp-layout-color0" in picture.svg


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("width", [TEXT_WIDTH, 80, 60])
def test_no_line_of_the_text_is_wider_than_asked_for(name: str, width: int) -> None:
    story = PICTURES[name]
    assert all(width_of(line) <= TEXT_WIDTH for line in story().text.splitlines())
    narrow = draw_sequence(killed_at_work(200).events, width=width).text
    assert all(width_of(line) <= width for line in narrow.splitlines())


# What the arrows say


def test_a_login_is_one_arrow_that_says_the_heartbeat() -> None:
    assert told(Conversation().starts("A").connects("A", heartbeat=7)) == [
        "copy A: started",
        "copy A to the broker: connect (heartbeat 7 s)",
        "copy A to the broker: open a channel",
    ]


def test_one_messages_life_is_told_from_its_frames() -> None:
    talk = working().published("job-1").works("A", "job-1")
    assert told(talk)[-4:] == [
        "to work: judge publishes job-1",
        "work to copy A: deliver job-1",
        "copy A: done job-1",
        "copy A to work: ack job-1",
    ]


def test_an_ack_of_several_names_them_and_says_how_many() -> None:
    talk = working()
    for number in range(1, 5):
        talk.delivers("A", f"job-{number}")
    talk.acks("A", "job-3", multiple=True)
    assert told(talk)[-1] == "copy A to work: ack job-1 … job-3 (3 at once)"
    assert told(talk.acks("A", "job-3"))[-1] == "copy A to the broker: ack (tag 3: nothing open)"


def test_tags_begin_anew_on_a_new_connection() -> None:
    talk = working().delivers("A", "job-1").loses("A")
    talk.connects("A").consumes("A", "work").delivers("A", "job-2")
    assert told(talk.settles("A", "job-2", "basic.ack"))[-1] == "copy A to work: ack job-2"


@pytest.mark.parametrize(
    ("how", "requeue", "said"),
    [
        ("basic.nack", True, "nack job-1 (requeue)"),
        ("basic.reject", False, "reject job-1 (no requeue)"),
    ],
)
def test_a_refusal_says_what_becomes_of_the_message(how: str, requeue: bool, said: str) -> None:
    talk = working().delivers("A", "job-1").settles("A", "job-1", how, requeue=requeue)
    assert told(talk)[-1] == f"copy A to work: {said}"


def test_auto_ack_stands_on_the_delivery_since_no_ack_will_come() -> None:
    talk = Conversation().starts("A").connects("A").consumes("A", "work", auto_ack=True)
    assert told(talk.delivers("A", "job-1"))[-1] == "work to copy A: deliver job-1 (auto-ack)"


def test_a_message_that_fits_no_queue_reaches_the_broker_and_no_queue() -> None:
    talk = working().publishes("A", "lost", key="wrok")
    assert steps(talk)[-1].target == EDGE
    assert told(talk)[-1] == "copy A to the broker: publish lost (key wrok)"
    talk.content("A", "broker", "basic.return", "lost", routing_key="wrok", reply_text="NO_ROUTE")
    assert told(talk)[-2:] == [
        "copy A to the broker: publish lost (key wrok: no queue)",
        "the broker to copy A: return lost NO_ROUTE",
    ]


def test_confirms_are_counted_from_where_they_were_asked_for() -> None:
    talk = working().publishes("A", "before").frame("A", "client", "confirm.select")
    talk.publishes("A", "first").publishes("A", "second").confirms("A", 2, multiple=True)
    assert told(talk)[-1] == "work to copy A: confirm first, second (2 at once)"


def test_what_a_fault_swallows_or_forges_is_said_so() -> None:
    lines = told(producer_under_faults())
    assert "copy A to work: publish apple, lost on the way" in lines
    forged = "refuse (nack) apple, made by the fault and not by the broker"
    assert f"work to copy A: {forged}" in lines


def test_a_body_of_many_frames_is_named_by_its_length_or_its_message_id() -> None:
    big = "x" * 1000
    talk = working().delivers("A", big)
    assert steps(talk)[-1].body == f"id of {big}"[:200]
    anonymous = [
        Event(e.n, e.at_s, e.kind, e.name, e.copy, e.connection, e.channel, e.side,
              {**e.data, "properties": {}} if e.name == "header" else e.data)
        for e in talk.events
    ]  # fmt: skip
    assert story_of(anonymous).steps[-1].body == "(1000 bytes)"
    known = Conversation().published(big)
    known.events += talk.events[1:]
    assert story_of(known.events).steps[-1].body == big


def test_a_message_cut_off_in_the_middle_is_told_when_the_connection_ends() -> None:
    talk = working().frame("A", "client", "basic.publish", exchange="", routing_key="work")
    talk.frame("A", "client", "header", body_size=9, properties={}).loses("A")
    assert told(talk)[-2:] == [
        "copy A to work: publish (9 bytes) torn off",
        "copy A: connection lost (reset)",
    ]


def test_an_orderly_end_is_no_lost_connection() -> None:
    assert "lost" not in " ".join(told(working().leaves("A")))
    assert told(working().loses("A"))[-1] == "copy A: connection lost (reset)"


def test_the_brokers_reason_is_said_when_it_closes_a_channel() -> None:
    talk = working().frame("A", "broker", "channel.close", reply_code=406,
                           reply_text="PRECONDITION_FAILED - unknown delivery tag 9")  # fmt: skip
    assert told(talk)[-1] == (
        "the broker to copy A: 406 PRECONDITION_FAILED: channel closed (unknown delivery tag 9)"
    )


def test_a_kill_a_freeze_and_a_restart_are_marks() -> None:
    talk = killed_at_work().add("signal", "freeze", copy="B").add("fault", "restart")
    lines = told(talk)
    for said in ("copy A: killed", "copy B: frozen", "the broker: the broker restarts"):
        assert said in lines


def test_heartbeats_are_not_shown_but_several_in_a_pause() -> None:
    talk = working()
    assert "heartbeat" not in told(talk.frame("A", "client", "heartbeat"))[-1]
    talk.frame("A", "client", "heartbeat").frame("A", "client", "heartbeat")
    assert told(talk)[-1] == "copy A to the broker: 3 heartbeats"


def test_a_recording_that_begins_in_the_middle_is_drawn_as_far_as_it_is_known() -> None:
    whole = killed_at_work(20).events
    for start in range(1, len(whole), 7):
        assert draw_sequence(whole[start:]).text


def test_a_recording_that_ends_anywhere_is_drawn() -> None:
    whole = producer_under_faults().events
    for end in range(0, len(whole) + 1, 3):
        assert draw_sequence(whole[:end]).svg.endswith("</svg>")


# Lifelines


def names(talk: Conversation, **options: object) -> list[str]:
    return [line.name for line in story_of(talk.events, **options).lifelines]  # type: ignore[arg-type]


def test_the_queue_stands_between_the_copies() -> None:
    assert names(killed_at_work()) == ["copy A", "work", "copy B"]


def test_a_recording_names_clients_as_they_name_themselves_and_producers_stand_left() -> None:
    talk = Conversation(judged=False).connects("door").publishes("door", "x")
    talk.connects("w", name="alice").consumes("w", "work")
    assert names(talk) == ["door", "work", "alice"]


def test_connections_that_follow_one_another_share_a_lifeline_and_others_do_not() -> None:
    talk = Conversation(judged=False).connects("door").declares("door", "work").leaves("door")
    talk.connects("door").declares("door", "work")
    assert names(talk) == ["door", "work"]
    talk.frame("door", "client", "connection.close")  # it says goodbye, and is soon gone
    assert names(talk.connects("door").declares("door", "work")) == ["door", "work"]
    assert names(talk.connects("door").declares("door", "work")) == ["door", "work", "door (2)"]


def test_only_the_lifelines_that_are_touched_are_drawn() -> None:
    talk = killed_at_work()
    killed = next(event.n for event in talk.events if event.kind == "signal")
    assert names(talk, only=[killed]) == ["copy A", "the broker"]


def test_two_connections_of_one_long_name_are_told_apart_by_what_they_are_for() -> None:
    talk = Conversation(judged=False)
    for role in ("publishing", "consuming"):
        talk.connects(role, name=f"the_job_queue_of_the_house: {role}").declares(role, "work")
    svg = draw_sequence(talk.events).svg
    assert ": publishing<" in svg
    assert ": consuming<" in svg


# Folding


def test_two_hundred_messages_take_no_more_room_than_twenty() -> None:
    assert len(steps(killed_at_work(200))) == len(steps(killed_at_work(20))) < 40


def test_what_is_folded_is_counted_and_what_broke_is_shown() -> None:
    lines = told(killed_at_work(200))
    assert "… 196 messages like these: delivered, done, acknowledged …" in lines
    assert "work to copy B: deliver job-03 again" in lines
    assert "copy A: killed" in lines


def test_no_message_gets_lost_in_a_fold() -> None:
    talk = killed_at_work(200)
    shown = {body for step in steps(talk) for body in step.bodies}
    assert shown == {f"job-{number:02}" for number in range(1, 201)}


def test_a_round_without_end_is_shown_once_and_counted() -> None:
    lines = told(poison(300))
    assert "… the last 2 rows 298 times more …" in lines
    assert len(lines) < 20


def test_one_life_is_highlighted_and_the_others_are_told_in_passing() -> None:
    talk = killed_at_work(200)
    picture = draw_sequence(talk.events, highlight="job-03")
    marked = [line for line in picture.text.splitlines() if line.startswith("»")]
    assert [line.split("─ ")[-1].split(" ─")[0] for line in marked][1] == "deliver job-03"
    assert len(marked) == 5
    others = {"job-02", "job-04"}
    assert not others & {s.body for s in steps(talk, highlight="job-03") if s.kind != Kind.FOLD}
    assert picture.svg.count('fill="#e3b341"') == 5


def test_only_some_events_are_drawn_with_a_word_on_what_lies_between() -> None:
    talk = killed_at_work(5)
    wanted = [e.n for e in talk.events if e.kind == "signal" or e.data.get("redelivered")]
    assert told(talk, only=wanted) == [
        "copy A: killed",
        "… 1 other step …",
        "work to copy B: deliver job-03 again",
    ]


def test_a_long_wait_is_said_at_the_side() -> None:
    talk = working().waits(3).delivers("A", "job-1")
    assert "    3.0 s" in draw_sequence(talk.events).text
    assert "+3.0 s" in draw_sequence(talk.events).svg


def test_bodies_are_text_and_never_markup(tmp_path: Path) -> None:
    talk = working().delivers("A", "</text><script>alert(1)</script>")
    picture = draw_sequence(talk.events)
    assert "<script" not in picture.svg
    ElementTree.parse(picture.save(tmp_path / "x.svg"))  # noqa: S314


def test_a_fault_says_what_it_struck_and_where() -> None:
    talk = working().add("fault", "lose", copy="A", connection=1, data={"frame": "basic.ack"})
    talk.add("fault", "away", copy="A").add("fault", "delete-queue", data={"queue": "work"})
    assert told(talk)[-3:] == [
        "copy A: the ack gets lost",
        "the broker: the broker is away",
        "work: the queue is deleted",
    ]


def test_what_is_quiet_is_drawn_where_a_verdict_is_about_it() -> None:
    talk = working().add("queue", data={"queue": "work", "ready": 3, "unacknowledged": 1})
    talk.add("note", "stderr", copy="A", data={"tail": "Traceback\nKeyError: 'QUEUE'"})
    assert "ready" not in " ".join(told(talk))
    asked = [event.n for event in talk.events if event.kind in ("queue", "note")]
    assert told(talk, only=asked) == [
        "work: 3 ready, 1 out",
        "copy A: standard error: KeyError: 'QUEUE'",
    ]


def test_where_room_is_short_the_body_says_more_than_the_verb() -> None:
    published = next(step for step in steps(working().published("job-1")) if step.bodies)
    assert published.words(40) == "judge publishes job-1"
    assert published.words(16) == "judge: job-1"
