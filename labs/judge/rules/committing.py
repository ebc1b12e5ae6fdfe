"""Whether a consumer of a log commits at the right moment: for `request-handler`.

A commit says: the group is done with all records below this offset. So an offset is
right when every request below it is done, or lies on the topic for what failed. What
the judge sees of a commit it sees after it happened, and after all that the program
had printed before it; so a commit that stands too early in the journal was too early.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

from labs.journal import Event
from labs.judge.evidence import Line, blows, evidence_of, program_life, quoted
from labs.judge.history import History
from labs.judge.lives import Message
from labs.judge.rules.finding import KEPT, Finding, broken, some, unknown
from labs.judge.verdicts import Evidence

NOTHING_APPENDED = "no request was appended"


def requests(history: History) -> list[Message]:
    """What the judge appended, in order."""
    return [m for m in history.messages.values() if m.published and m.place]


def is_bad(message: Message) -> bool:
    """Whether its work fails, every time."""
    return message.body.startswith("bad")


def good(history: History) -> list[Message]:
    """The requests that can be done."""
    return [message for message in requests(history) if not is_bad(message)]


def every_request_done(history: History) -> Finding:
    """Every request is done, at least once."""
    wanted = good(history)
    if not wanted:
        return unknown(NOTHING_APPENDED)
    undone = [message for message in wanted if message.first_done is None]
    if not undone:
        return KEPT
    if not any(said.word == "done" for said in history.lines):
        printed = [str(e.data.get("text")) for e in history.events if e.kind == "line"]
        seen = "No line `done BODY` ever came. "
        seen += (
            f"What was printed was such as {quoted(printed[0])}."
            if printed
            else ("Nothing at all was printed; a program has to flush what it prints.")
        )
        return broken(seen, request_life(history, wanted[0]))
    lost = [message for message in undone if passed(history, message)]
    shown = (lost or undone)[0]
    seen = some([shown.body, *(m.body for m in undone if m is not shown)], "request")
    seen = f"{seen[0].upper()}{seen[1:]} {'was' if len(undone) == 1 else 'were'} never done"
    if lost:
        seen += ", and the committed offset has passed it: nobody will be given it again"
    return broken(f"{seen}.", request_life(history, shown))


def committed_after_done(history: History) -> Finding:
    """No offset is committed past a request that is neither done nor laid aside."""
    if not requests(history):
        return unknown(NOTHING_APPENDED)
    if not history.commits:
        return unknown("nothing was committed")
    early = [(m, commit) for m in requests(history) if (commit := too_early(history, m))]
    if not early:
        return KEPT
    lost = [(m, commit) for m, commit in early if over(m) is None]
    message, commit = (lost or early)[0]
    place = message.place
    assert place
    seen = f"The offset {commit.data['offset']} of partition {place.partition} was committed "
    seen += f"before {quoted(message.body)}, at offset {place.offset}, was "
    seen += "in the topic for what failed." if is_bad(message) else "done."
    if lost and not is_bad(message):
        seen += " It never was."
    return broken(seen, request_life(history, message))


def in_order(history: History) -> Finding:
    """Requests with the same key are done in the order in which they were appended."""
    wanted = good(history)
    if not wanted:
        return unknown(NOTHING_APPENDED)
    if not any(message.first_done for message in wanted):
        return unknown("nothing was done")
    by_key = sorted(wanted, key=_key_and_offset)
    for key, group in groupby(by_key, key=lambda m: m.place.key if m.place else ""):
        done = [message for message in group if message.first_done]
        for earlier, later in pairwise(done):
            assert earlier.first_done
            assert later.first_done
            if later.first_done.event.n < earlier.first_done.event.n:
                seen = f"{quoted(later.body)} was done before {quoted(earlier.body)}, which has "
                seen += f"the same key, {key}, and stands before it."
                return broken(seen, request_life(history, earlier, later))
    return KEPT


def each_copy_takes_part(history: History) -> Finding:
    """Each copy did some."""
    if not requests(history):
        return unknown(NOTHING_APPENDED)
    for copy in history.copies:
        if not any(said.copy == copy and said.is_borne_out for said in history.lines):
            did = sum(said.is_borne_out for said in history.lines)
            seen = f"{copy} did none of the requests; {did} were done by the others."
            return broken(seen, program_life(history, copy, ending=f"{copy} had done none"))
    return KEPT


def bad_ones_laid_aside(history: History) -> Finding | None:
    """Each bad request ends in the topic for what failed, unchanged, and is never done."""
    bad = [message for message in requests(history) if is_bad(message)]
    if not bad:
        return None
    for message in bad:
        if message.first_done:
            seen = f'{message.first_done.copy} printed "done {message.body}", but the work on it '
            return broken(f"{seen}fails every time.", request_life(history, message))
        if not message.appended:
            changed = [m for m in history.messages.values() if m.appended and not m.place]
            seen = f"{quoted(message.body)} did not end in {history.run.get('topic')}.failed"
            if changed:
                seen += f"; {quoted(changed[0].body)} is there"
            elif passed(history, message):
                seen += ", and the committed offset has passed it: it is lost"
            return broken(f"{seen}.", request_life(history, message))
    return KEPT


def all_committed(history: History) -> Finding:
    """In the end each partition's committed offset is at its end."""
    if not requests(history):
        return unknown(NOTHING_APPENDED)
    lanes = sorted(requests(history), key=_partition_and_offset)
    for number, group in groupby(lanes, key=lambda message: _partition_and_offset(message)[0]):
        lane = list(group)
        last = lane[-1]
        offset = committed_offset(history, number)
        if last.place and offset <= last.place.offset:
            first = next(m for m in lane if m.place and m.place.offset >= offset)
            where = f"the committed offset is {offset}" if offset else "nothing is committed"
            seen = f"Partition {number} has {len(lane)} requests, and in the end {where}."
            return broken(seen, request_life(history, first))
    return KEPT


def takes_its_time(history: History) -> Finding:
    """No request is done sooner than its work lasts, counted from when it was appended."""
    done = [message for message in good(history) if message.first_done]
    if not done:
        return unknown("nothing was done")
    for message in done:
        assert message.first_done
        assert message.published
        since_s = float(message.published.data.get("since_s", message.published.at_s))
        took_s = message.first_done.event.at_s - since_s
        work_s = history.work_s(message.body)
        if took_s < 0.9 * work_s - 0.02:
            seen = f"The work on {quoted(message.body)} lasts {work_s:.2f} s, but it was done "
            return broken(
                f"{seen}{took_s:.2f} s after it was appended.", request_life(history, message)
            )
    return KEPT


# --- What a commit says ------------------------------------------------------------------------


def over(message: Message) -> Event | None:
    """When it was done, or laid aside."""
    if message.first_done:
        return message.first_done.event
    return message.appended[0] if message.appended and is_bad(message) else None


def passed(history: History, message: Message) -> Event | None:
    """The first commit that says that the group is done with it."""
    place = message.place
    return next(
        (
            commit
            for commit in history.commits
            if place
            and commit.data["partition"] == place.partition
            and commit.data["offset"] > place.offset
        ),
        None,
    )


def too_early(history: History, message: Message) -> Event | None:
    """The commit that says so, though it was not true by then."""
    commit, end = passed(history, message), over(message)
    return commit if commit and (end is None or end.n > commit.n) else None


def committed_offset(history: History, partition: int) -> int:
    """How far the group had come in the end; 0: nowhere."""
    offsets = [c.data["offset"] for c in history.commits if c.data["partition"] == partition]
    return int(offsets[-1]) if offsets else 0


def request_life(history: History, *messages: Message) -> Evidence:
    """What became of one request, or of two that belong together."""
    lines: list[Line] = []
    for message in messages:
        lines += _life(history, message, named=len(messages) > 1)
    begin = min((event.n for event, _ in lines), default=0)
    lines += [line for line in blows(history, set(history.copies)) if line[0].n > begin]
    undone = [message for message in messages if over(message) is None]
    verb = "laid aside" if undone and is_bad(undone[0]) else "done"
    ending = f"the run ended: it was never {verb}" if undone else ""
    return evidence_of(history, messages[0].body, lines, ending)


def _life(history: History, message: Message, *, named: bool) -> Sequence[Line]:
    place, what = message.place, quoted(message.body) if named else "it"
    lines: list[Line] = []
    if message.published and place:
        where = f"partition {place.partition} at offset {place.offset}, with the key {place.key}"
        lines.append((message.published, f"the judge put {what} in {where}"))
    for said in message.done:
        lines.append((said.event, f"{said.copy} printed {quoted(f'{said.word} {said.text}')}"))
    for event in message.appended:
        lines.append((event, f"it was in the topic {event.data.get('topic')}"))
    if commit := passed(history, message):
        words = f"the group's committed offset of partition {commit.data['partition']} was "
        lines.append((commit, f"{words}{commit.data['offset']}: past {what}"))
    return lines


def _key_and_offset(message: Message) -> tuple[str, int]:
    assert message.place
    return message.place.key, message.place.offset


def _partition_and_offset(message: Message) -> tuple[int, int]:
    assert message.place
    return message.place.partition, message.place.offset
