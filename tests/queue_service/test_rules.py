"""The rules as a table: how things stand, and what is to become of a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from labs.queue_service import rules
from labs.queue_service.rules import Blocked, Job, Line

J, K, L = 1, 2, 3
"""The own job, and two others."""
NOW = 1_000.0


@dataclass
class One:
    """A message, as the rules see it; by default one of a job that blocks itself."""

    number: int = 10
    seq: int = 10
    blocked_by: tuple[int, ...] = (J,)
    collapse: bool = True
    blocks_self: bool = True
    same_job_wait_s: float | None = None
    job_id: int = J
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = f"{self.number}#{self.seq}"


def jobs(**standing: Any) -> Callable[[int], Job]:
    """How the jobs stand; those that are not named are idle."""
    known = {one.job_id: one for one in standing.values()}
    return lambda id_: known.get(id_, Job(id_))


FREE = One(blocked_by=(), blocks_self=False)
SOFT = One(same_job_wait_s=300.0)


@pytest.mark.parametrize(
    ("one", "standing", "expected"),
    [
        pytest.param(One(), {}, None, id="nothing is there"),
        pytest.param(One(), {"j": Job(J, running=1)}, Blocked(J), id="its own job runs"),
        pytest.param(One(), {"j": Job(J, queued=1)}, Blocked(J), id="one of its job is before it"),
        pytest.param(FREE, {"j": Job(J, running=9, queued=9)}, None, id="its job blocks nobody"),
        pytest.param(
            One(blocked_by=(J, K), blocks_self=False),
            {"j": Job(J, running=1)},
            None,
            id="blockedBySelf is off: the own job counts for nothing",
        ),
        pytest.param(
            One(blocked_by=(J, K, L)),
            {"l": Job(L, running=1)},
            Blocked(L),
            id="another job that blocks it runs",
        ),
        pytest.param(
            One(blocked_by=(J, K)), {"k": Job(K, queued=5)}, None, id="another job only waits"
        ),
        pytest.param(
            One(blocked_by=(J, K)),
            {"k": Job(K, running=1), "j": Job(J, running=1)},
            Blocked(K),
            id="two in its way: the other job is named",
        ),
        pytest.param(
            SOFT,
            {"j": Job(J, running=1, started_at=NOW - 299)},
            Blocked(J, until=NOW + 1),
            id="blockedBySameJob is off: the own job blocks for a while",
        ),
        pytest.param(
            SOFT,
            {"j": Job(J, running=1, started_at=NOW - 300)},
            None,
            id="blockedBySameJob is off: and then no longer",
        ),
        pytest.param(
            SOFT,
            {"j": Job(J, running=1, queued=1, started_at=NOW - 300)},
            Blocked(J),
            id="blockedBySameJob is off: and then one at a time",
        ),
    ],
)
def test_what_blocks_a_message(one: One, standing: dict[str, Job], expected: Any) -> None:
    assert rules.blocked(one, None, jobs(**standing), NOW) == expected


def test_only_the_head_of_a_line_waits_for_other_jobs() -> None:
    head, behind = One(number=5), One(number=6, blocked_by=(J, K))
    standing = jobs(k=Job(K, running=1))
    assert rules.blocked(behind, head, standing, NOW) == Blocked(J)
    assert rules.blocked(behind, behind, standing, NOW) == Blocked(K)


def test_whose_turn_has_come_is_kept_only_by_what_runs() -> None:
    one = One(blocked_by=(J, K))
    assert rules.blocked_by_running(one, jobs(j=Job(J, queued=1)), NOW) is None
    assert rules.blocked_by_running(one, jobs(k=Job(K, running=1)), NOW) == Blocked(K)


# --- Lines and collapsing -----------------------------------------------------------------------


def line(*waiting: One) -> Line:
    """A line in which these are blocked."""
    found = Line()
    for one in waiting:
        found.add(one, blocked=True)
    return found


FIXED_3, FIXED_7, NEW_5 = One(3, collapse=False), One(7, collapse=False), One(5)


@pytest.mark.parametrize(
    ("waiting", "head"),
    [
        ([], None),
        ([FIXED_7, FIXED_3], FIXED_3),
        ([FIXED_7, NEW_5], NEW_5),
        ([NEW_5, FIXED_3], FIXED_3),
    ],
)
def test_the_oldest_build_of_a_line_is_its_head(waiting: list[One], head: One | None) -> None:
    assert line(*waiting).head == head


def test_of_two_builds_of_one_number_the_one_that_came_first_is_the_older() -> None:
    first, second = One(5, seq=1, collapse=False), One(5, seq=2, collapse=False)
    assert line(second, first).head is first


@pytest.mark.parametrize(
    ("one", "waiting", "expected"),
    [
        pytest.param(One(6), [NEW_5], NEW_5, id="a newer one takes the place"),
        pytest.param(One(4), [NEW_5], None, id="an older one does not"),
        pytest.param(One(5, seq=11), [NEW_5], NEW_5, id="a schedule's, of the same number, does"),
        pytest.param(One(6, collapse=False), [NEW_5], None, id="one that does not collapse"),
        pytest.param(One(9), [FIXED_3, FIXED_7], None, id="those that don't collapse stay"),
    ],
)
def test_whose_place_a_newer_build_takes(one: One, waiting: list[One], expected: Any) -> None:
    assert rules.gives_way(line(*waiting), one) is expected


@pytest.mark.parametrize(
    ("one", "last_ran", "waiting", "expected"),
    [
        pytest.param(One(4), -1, [], None, id="nothing is newer"),
        pytest.param(One(4), 6, [], "6#ran", id="a newer one has run"),
        pytest.param(One(6), 6, [], None, id="the same number has run: a schedule's"),
        pytest.param(One(4), -1, [NEW_5], "5#10", id="a newer one waits"),
        pytest.param(One(4), -1, [FIXED_7], "7#10", id="a newer one that does not collapse waits"),
        pytest.param(One(4, collapse=False), 6, [NEW_5], None, id="it does not collapse"),
    ],
)
def test_when_a_build_comes_too_late(
    one: One, last_ran: int, waiting: list[One], expected: str | None
) -> None:
    job = Job(J, last_number=last_ran, last_id="6#ran")
    assert rules.overtaken(one, job, line(*waiting)) == expected


def test_a_build_that_is_wanted_again_may_be_older_than_those_that_have_run() -> None:
    job = Job(J, last_number=6, last_id="6#ran")
    assert rules.overtaken(One(4), job, Line(), again=True) is None
    assert rules.overtaken(One(4), job, line(NEW_5), again=True) == "5#10"


def test_whose_turn_has_passed_gives_way_to_a_newer_one_that_waits() -> None:
    assert rules.newer_blocked(One(4), line(NEW_5)) is NEW_5
    assert rules.newer_blocked(One(6), line(NEW_5)) is None
    assert rules.newer_blocked(One(4, collapse=False), line(NEW_5)) is None
    assert rules.newer_blocked(One(4), line(FIXED_7)) is None
