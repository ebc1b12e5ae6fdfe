"""Trials on a task table: what they write down, in which order, and that they need no RabbitMQ."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from labs.journal import Event
from labs.judge import engine
from labs.judge.catalogue import exercise
from labs.judge.history import History
from labs.judge.judging import judge_journals
from labs.judge.table_ground import Row, TableGround
from labs.judge.tasks import CLAIM, EXTEND, Tasks
from labs.judge.verdicts import Outcome

pytestmark = pytest.mark.usefixtures("labs_home")


# --- The table --------------------------------------------------------------------------------


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[TableGround]:
    with TableGround(tmp_path / "tasks.sqlite") as ground:
        yield ground


def test_each_change_of_a_row_is_written_down_by_whoever_makes_it(ground: TableGround) -> None:
    ground.put([(7, "a"), (8, "b")])
    with closing(sqlite3.connect(ground.path, isolation_level=None)) as learner:
        learner.execute("UPDATE tasks SET stage = 'processing', owner = 'A', lease_end = 5")
        learner.execute("DELETE FROM tasks WHERE id = 8")
    rows = ground.changes()
    assert [(row.what, row.task) for row in rows] == [
        ("insert", 7),
        ("insert", 8),
        ("update", 7),
        ("update", 8),
        ("delete", 8),
    ]
    assert told(rows[2]) == ("waiting", "processing", None, "A", None, 5.0)
    assert told(rows[4]) == ("processing", None, "A", None, 5.0, None)
    assert not ground.changes(), "each is told once"


def told(row: Row) -> tuple[object, ...]:
    return row.stage_was, row.stage, row.owner_was, row.owner, row.lease_was, row.lease


def test_a_change_that_is_rolled_back_never_was(ground: TableGround) -> None:
    ground.put([(7, "a")])
    with closing(sqlite3.connect(ground.path)) as learner:
        learner.execute("UPDATE tasks SET stage = 'processing'")
        learner.rollback()
    assert [row.what for row in ground.changes()] == ["insert"]


def test_while_the_lock_is_held_all_can_read_and_none_can_write(ground: TableGround) -> None:
    ground.put([(7, "a")], then_hold=True)
    with closing(sqlite3.connect(ground.path, timeout=0)) as learner:
        assert learner.execute("SELECT count(*) FROM tasks").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            learner.execute("UPDATE tasks SET stage = 'processing'")
        ground.release()
        learner.execute("UPDATE tasks SET stage = 'processing'")
        assert not ground.is_free()
        learner.commit()
    assert ground.is_free()


def test_a_stage_that_is_none_is_refused_by_the_table(ground: TableGround) -> None:
    ground.put([(7, "a")])
    with (
        closing(sqlite3.connect(ground.path)) as learner,
        pytest.raises(sqlite3.IntegrityError, match="CHECK"),
    ):
        learner.execute("UPDATE tasks SET stage = 'done'")


@pytest.mark.parametrize("slug", ["claim-once", "lease"])
def test_the_brief_shows_the_table_as_it_is(slug: str, ground: TableGround) -> None:
    sql = exercise(slug).brief.partition("```sql\n")[2].partition("```")[0]
    with (
        closing(sqlite3.connect(":memory:")) as brief,
        closing(sqlite3.connect(ground.path)) as own,
    ):
        brief.execute(sql)
        columns = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('tasks')"
        assert brief.execute(columns).fetchall() == own.execute(columns).fetchall()
        assert "CHECK" in sql


# --- The trials -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def claim_once(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Event]:
    """The exercise's own solution, run once."""
    (journal,) = run("claim-once", tmp_path_factory.mktemp("claim"))
    return journal


@pytest.fixture(scope="module")
def lease(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Sequence[Event]]:
    """The exercise's own solution, run once."""
    return run("lease", tmp_path_factory.mktemp("lease"))


def run(slug: str, home: Path) -> Sequence[Sequence[Event]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_HOME", str(home / ".labs"))
        command = [sys.executable, str(exercise(slug).folder / "solution.py")]
        return engine.check(slug, command, broker=None, seed="a seed").journals


@pytest.mark.slow
def test_all_copies_want_a_task_at_the_same_moment(claim_once: Sequence[Event]) -> None:
    history = History.of(claim_once)
    tasks = Tasks.of(history)
    releases = [event.at_s for event in history.struck("release")][1:]
    assert len(releases) >= 2
    for free_s in releases[:2]:
        claims = [c for t in tasks.all for c in t.claims if 0 < c.at_s - free_s < 0.5]
        assert len({claim.owner for claim in claims}) >= 2


@pytest.mark.slow
def test_a_mark_stands_behind_the_line_that_was_printed_before_it(
    claim_once: Sequence[Event], lease: Sequence[Sequence[Event]]
) -> None:
    for events in (claim_once, *lease):
        for task in Tasks.of(History.of(events)).all:
            assert task.settled
            assert task.done[0].event.n < task.settled.event.n


@pytest.mark.slow
def test_work_lasts_longer_than_a_lease_and_the_other_copy_waits_for_it(
    lease: Sequence[Sequence[Event]],
) -> None:
    history = History.of(lease[0])
    tasks = Tasks.of(history)
    long = max(tasks.all, key=lambda task: history.work_s(task.body))
    (claim,) = long.claims
    assert history.work_s(long.body) > 2 * history.run["lease_s"]
    assert len(tasks.all[0].claims) == 1
    assert len(long.extensions(claim)) >= 3
    assert long.settled
    between = [t for t in tasks.all if t.settled and t.settled.at_s < long.settled.at_s]
    assert len(between) > 3, "the other one has done all that there was"


@pytest.mark.slow
def test_a_copy_is_killed_and_another_frozen_in_the_middle_of_a_task(
    lease: Sequence[Sequence[Event]],
) -> None:
    for events, name in zip(lease[1:], ("kill", "freeze"), strict=True):
        history = History.of(events)
        tasks = Tasks.of(history)
        (blow,) = history.struck(name)
        task = next(task for task in tasks.all if task.body == blow.data["body"])
        first, second = task.claims
        assert tasks.copy_of(first.owner) == blow.copy
        assert first.event.n < blow.n < second.event.n
        assert first.owner != second.owner
    thaw = history.struck("thaw")[0]
    assert second.event.n < thaw.n
    assert task.settled
    assert thaw.n < task.settled.event.n, "the other one was still at work"


@pytest.mark.slow
def test_who_was_killed_is_there_again_while_the_other_is_at_work(
    lease: Sequence[Sequence[Event]],
) -> None:
    history = History.of(lease[1])
    tasks = Tasks.of(history)
    again = history.processes[2]
    mine = [c for t in tasks.all for c in t.claims if tasks.owners[c.owner or ""] is again]
    other = max(tasks.all, key=lambda task: history.work_s(task.body))
    assert other.settled
    assert other.claims[0].event.n < again.started.n < mine[0].event.n < other.settled.event.n


@pytest.mark.slow
def test_two_copies_see_at_once_what_the_dead_have_left(lease: Sequence[Sequence[Event]]) -> None:
    history = History.of(lease[1])
    left = [task for task in Tasks.of(history).all if task.left_by]
    (free,) = history.struck("release")[:1]
    soon = [claim for task in left for claim in task.claims if 0 < claim.at_s - free.at_s < 0.5]
    assert len({claim.owner for claim in soon}) == 2


@pytest.mark.slow
def test_the_same_journals_give_the_same_report(
    claim_once: Sequence[Event], lease: Sequence[Sequence[Event]]
) -> None:
    for journals in ((claim_once,), lease):
        report = judge_journals(journals)
        assert report.outcome is Outcome.KEPT
        assert report == judge_journals(journals)
        assert {e.name for e in journals[0] if e.kind == "changed"} >= {CLAIM, "settle"}
    assert any(event.name == EXTEND for event in lease[0])


def types(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What a learner types, where there is no broker."""
    return subprocess.run(
        [sys.executable, "-m", "labs", *words],
        env={
            **os.environ,
            "AMQP_URL": "amqp://nobody:x@127.0.0.1:1/%2F",
            "LABS_HOME": str(home / ".labs"),
        },
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_no_rabbitmq_is_asked_for_and_the_run_can_be_judged_and_drawn_again(tmp_path: Path) -> None:
    ran = types(
        tmp_path, "check", "claim-once", "--json", "--journal", "run.jsonl", "--", "echo", "hi"
    )
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["outcome"]) == (1, "broken"), ran.stderr
    assert report["verdicts"][0]["promise"] == "contract"
    assert "ended by itself" in report["verdicts"][0]["seen"]
    again = types(tmp_path, "judge", "run.jsonl", "--json")
    assert again.returncode == 1
    assert json.loads(again.stdout)["verdicts"] == report["verdicts"]
    assert "its row: waiting from" in types(tmp_path, "draw", "run.jsonl").stdout


def test_a_program_that_never_commits_is_told_so_and_nothing_is_left_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labs.judge.table_ground.PATIENCE_S", 1.0)
    program = tmp_path / "holds.py"
    program.write_text(
        "import os, sqlite3, time\n"
        "database = sqlite3.connect(os.environ['DATABASE'], timeout=60)\n"
        "task = database.execute(\"UPDATE tasks SET stage = 'processing' WHERE id = (SELECT id \"\n"
        '    "FROM tasks LIMIT 1) RETURNING body").fetchone()\n'
        "time.sleep(len(task[0]) * float(os.environ['DELAY']))\n"
        "print('done', task[0], flush=True)\n"
        "time.sleep(600)\n"
    )
    ran = engine.check("claim-once", [sys.executable, str(program)], broker=None, seed="s")
    assert ran.report.first_broken
    assert "some transaction stays open" in ran.report.first_broken.seen
