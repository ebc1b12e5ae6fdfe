"""Signs of beliefs about commits, groups and offsets: 30 and 37 to 47, on a log.

Told from which requests a commit passed too early, and from how many of them at a time;
from what was done twice or never; and from the program's last words.
"""

from __future__ import annotations

from itertools import pairwise

from labs.judge.history import History
from labs.judge.lives import Message
from labs.judge.rules.committing import (
    good,
    is_bad,
    over,
    passed,
    requests,
    too_early,
)

OFTEN = 0.6
"""Who commits before each piece of work does so for most of them, even where a look missed it."""
REFUSED = ("REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER", "rebalance in progress")


def _early(history: History) -> list[Message]:
    return [message for message in good(history) if too_early(history, message)]


def committed_before_work(history: History) -> bool:
    """Nearly each request was committed before it was done."""
    done = [message for message in good(history) if passed(history, message)]
    return bool(done) and len(_early(history)) > OFTEN * len(done)


def committed_by_the_clock(history: History) -> bool:
    """Some were committed too early, and some long after: a commit passed several at once."""
    passes: dict[int, int] = {}
    for message in good(history):
        if commit := passed(history, message):
            passes[commit.n] = passes.get(commit.n, 0) + 1
    return bool(_early(history)) and any(count > 1 for count in passes.values())


def committed_out_of_order(history: History) -> bool:
    """A commit passed a request that was in work, for a later one of its partition was done."""
    return any(_was_overtaken(history, message) for message in _early(history))


def _was_overtaken(history: History, message: Message) -> bool:
    commit, place = too_early(history, message), message.place
    return any(
        later.first_done and later.first_done.event.n < commit.n
        for later in good(history)
        if commit
        and place
        and later.place
        and later.place.partition == place.partition
        and place.offset < later.place.offset < commit.data["offset"]
    )


def committed_the_position(history: History) -> bool:
    """One commit passed several requests of one copy's that were not done: it had read ahead.

    A commit of several partitions is seen as several events, one right after the other.
    """
    early = [(commit.n, m) for m in _early(history) if (commit := too_early(history, m))]
    early.sort(key=lambda one: one[0])
    return any(
        later_n - earlier_n <= 1 and _whose(earlier) == _whose(later)
        for (earlier_n, earlier), (later_n, later) in pairwise(early)
    )


def _whose(message: Message) -> str | None:
    """Who did it in the end; None: nobody did."""
    return message.first_done.copy if message.first_done else None


def never_committed(history: History) -> bool:
    return not history.commits and any(said.is_borne_out for said in history.lines)


def both_did_the_same(history: History) -> bool:
    """Two copies that lived side by side did the same requests: each had them all.

    What was there before both took part tells nothing: where nobody commits, who takes over a
    partition does all of it again.
    """
    blow = next((event.n for event in history.struck("kill")), len(history.events))
    first = {said.copy: said.event.n for said in reversed(history.lines) if said.is_borne_out}
    if history.commits or len(first) < 2:
        return False
    both_take_part = max(first.values())
    twice = [
        message
        for message in good(history)
        if message.published
        and message.published.n > both_take_part
        and len({said.copy for said in message.done if said.event.n < blow}) > 1
    ]
    return len(twice) > 1


def skipped_the_first(history: History) -> bool:
    """What was there before the copies was never done, and what came later was."""
    started = min((process.started.n for process in history.processes), default=0)
    before = [m for m in good(history) if m.published and m.published.n < started]
    after = [m for m in good(history) if m.published and m.published.n > started]
    return (
        bool(before)
        and not any(message.first_done for message in before)
        and any(message.first_done for message in after)
    )


def _unlaid(history: History) -> list[Message]:
    """Bad requests that are lost; who laid something else aside has at least tried."""
    if any(message.appended and not message.place for message in history.messages.values()):
        return []
    return [m for m in requests(history) if is_bad(m) and over(m) is None]


def died_of_the_bad(history: History) -> bool:
    """A copy ended by itself, where a bad request was next in a partition."""
    ended = any(process.ended_by_itself for process in history.processes)
    return ended and any(not passed(history, message) for message in _unlaid(history))


def committed_the_failed(history: History) -> bool:
    """A bad request was committed at once, as if it were done."""
    return any(
        (commit := passed(history, m)) is not None
        and m.place is not None
        and commit.data["offset"] == m.place.offset + 1
        for m in _unlaid(history)
    )


def went_on_without_it(history: History) -> bool:
    """A bad request was not committed, nor laid aside, and the next one of its partition was."""
    return any(_passed_by_a_later_one(history, message) for message in _unlaid(history))


def _passed_by_a_later_one(history: History, message: Message) -> bool:
    place = message.place
    return any(
        later.first_done
        for later in good(history)
        if place
        and later.place
        and later.place.partition == place.partition
        and later.place.offset > place.offset
    )


def died_of_a_refused_commit(history: History) -> bool:
    tails = [str(note.data.get("tail", "")) for note in history.noted("stderr")]
    ended = any(process.ended_by_itself for process in history.processes)
    return ended and any(word in tail for tail in tails for word in REFUSED)


def waited_for_the_silent(history: History) -> bool:
    """Nobody did what was left, although copies ran on: the group waited for a member's answer.

    Mostly for a copy's that had died; where copies start slowly, already when a second one joins.
    """
    if any(process.ended_by_itself for process in history.processes):
        return False
    if history.noted("never-connected"):
        return False  # who is no member waits for nobody
    left = [message for message in good(history) if message.first_done is None]
    return bool(left) and not any(passed(history, message) for message in left)
