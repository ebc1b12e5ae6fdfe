"""The journal: what is appended is read back as it was, in the order of appending."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.errors import BadInput, WaitedTooLong
from labs.journal import Event, Journal, read_journals, write_journals

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.builds(
    Event,
    n=st.integers(0),
    at_s=st.floats(0, 1e6),
    kind=st.text(min_size=1),
    name=st.text(),
    copy=st.none() | st.text(),
    connection=st.none() | st.integers(1),
    channel=st.none() | st.integers(0, 65535),
    side=st.none() | st.sampled_from(["client", "broker"]),
    data=st.dictionaries(st.text(), JSON, max_size=4),
)


@given(event=EVENTS)
def test_an_event_is_read_back_as_it_was_written(event: Event) -> None:
    line = event.to_json()

    assert Event.from_json(line) == event
    assert "\n" not in line


def test_events_are_numbered_in_the_order_of_appending_from_any_thread(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:

        def work() -> None:
            for _ in range(200):
                journal.append("line", data={"text": "x"})

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    (read,) = read_journals(tmp_path / "journal")
    assert tuple(read) == journal.events
    assert [event.n for event in read] == list(range(800))
    assert [event.at_s for event in read] == sorted(event.at_s for event in read)


def test_a_journal_that_keeps_nothing_still_writes_and_tells(tmp_path: Path) -> None:
    told: list[Event] = []
    journal = Journal(tmp_path / "journal", keep=False, tell=told.append)
    journal.append("line")
    journal.flush()

    assert (len(journal), journal.events) == (1, ())
    assert read_journals(tmp_path / "journal") == [told]


def test_several_runs_in_one_file_are_read_apart(tmp_path: Path) -> None:
    runs = [[Event(0, 0.0, "run"), Event(1, 0.1, "line")], [Event(0, 0.0, "run")]]

    write_journals(tmp_path / "journals", runs)

    assert read_journals(tmp_path / "journals") == runs


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(f'{Event(0, 0.0, "run").to_json()}\n{{"n":1,"at')

    assert read_journals(path) == [[Event(0, 0.0, "run")]]


@pytest.mark.parametrize("text", ["", "no journal\nat all\n", '{"a": 1}\n{"a": 2}\n'])
def test_what_is_no_journal_is_told_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)

    with pytest.raises(BadInput, match="file is"):
        read_journals(tmp_path / "file")


def test_waiting_for_an_event_ends_when_it_comes_or_the_time_is_up() -> None:
    journal = Journal()
    threading.Timer(0.05, lambda: journal.append("line")).start()

    found = journal.wait_for(lambda all_: all_[0] if all_ else None, 20, what="a line")
    assert found.kind == "line"
    with pytest.raises(WaitedTooLong, match="another line"):
        journal.wait_for(lambda events: events[1:], 0.01, what="another line")
