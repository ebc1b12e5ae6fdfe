"""A learner's program as a process: started unchanged, heard in order, killed as a whole."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from labs.journal import Event, Journal
from labs.judge.family import Family, marked
from labs.judge.program import CannotStart, Program
from labs.waiting import wait_until

MARK = "test-of-programs"
Write = Callable[..., Program]


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def program(tmp_path: Path, journal: Journal) -> Iterator[Write]:
    """Starts a Python program that is given as text."""
    started: list[Program] = []

    def start(source: str, *, reads_input: bool = False, **environment: str) -> Program:
        file = tmp_path / f"program{len(started)}.py"
        file.write_text(textwrap.dedent(source))
        command = [sys.executable, str(file)]
        one = Program(
            command,
            "A",
            environment,
            journal,
            mark=f"{MARK}/{os.getpid()}",
            reads_input=reads_input,
        )
        started.append(one)
        one.start()
        return one

    yield start
    for one in started:
        one.end()
    assert marked(f"{MARK}/{os.getpid()}") == []


def lines(journal: Journal) -> list[str]:
    return [event.data["text"] for event in journal.events if event.kind == "line"]


def wait_for(journal: Journal, kind: str, name: str = "") -> Event:
    return journal.wait_for(
        lambda events: next((e for e in events if e.kind == kind and e.name == name), None),
        20.0,
        what=f"{kind} {name}",
    )


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def pid_said(journal: Journal) -> int:
    wait_for(journal, "line")
    return int(lines(journal)[0])


def test_the_environment_is_added_to_and_buffering_is_left_to_the_program(
    program: Write, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setenv("OF_THE_LEARNER", "kept")
    one = program(
        "import os; print(*(os.environ.get(n) for n in "
        "('QUEUE', 'OF_THE_LEARNER', 'PYTHONUNBUFFERED')))",
        QUEUE="work",
    )
    assert one.wait_until_exited(20.0)
    assert lines(journal) == ["work kept None"]


def test_what_was_printed_stands_before_the_exit_and_the_exit_code_is_told(
    program: Write, journal: Journal
) -> None:
    one = program("print('first'); print('last', end=''); raise SystemExit(3)")
    assert one.wait_until_exited(20.0)
    assert [e.kind for e in journal.events] == ["started", "line", "line", "exited"]
    assert journal.events[-1].data == {"status": 3, "asked": False}
    assert journal.events[-2].data == {"text": "last", "partial": True}


def test_a_line_that_was_printed_is_on_record_once_drain_returns(
    program: Write, journal: Journal, tmp_path: Path
) -> None:
    """A file tells that it has printed: then the line must not depend on a reader's luck."""
    one = program(
        """
        import os, pathlib, sys
        for number in range(50):
            sys.stdin.readline()
            os.write(1, b"done %d\\n" % number)
            pathlib.Path(os.environ["HERE"], str(number)).touch()
        """,
        reads_input=True,
        HERE=str(tmp_path),
    )
    for number in range(50):
        one.write_line("go")
        wait_until((tmp_path / str(number)).exists, 20.0, interval_s=0.0001)
        one.drain()
        assert lines(journal)[-1] == f"done {number}"
    assert [e.data["text"] for e in journal.events if e.kind == "input"] == ["go"] * 50


def test_lines_are_kept_whole_and_in_order_however_they_are_written(
    program: Write, journal: Journal
) -> None:
    one = program(
        """
        import os
        text = "".join(f"done é{n}\\r\\n" for n in range(300)).encode()
        for at in range(0, len(text), 7):
            os.write(1, text[at:at + 7])
        """
    )
    assert one.wait_until_exited(20.0)
    assert [line.rstrip("\r") for line in lines(journal)] == [f"done é{n}" for n in range(300)]


def test_standard_error_is_kept_for_the_learner_its_last_lines_only(program: Write) -> None:
    one = program("import sys\nfor n in range(500): print('oh', n, file=sys.stderr)")
    assert one.wait_until_exited(20.0)
    wait_until(lambda: one.stderr_tail.endswith("oh 499"), 20.0)
    assert len(one.stderr_tail.splitlines()) <= 40


def test_the_end_of_input_reaches_the_program(program: Write, journal: Journal) -> None:
    one = program("import sys\nfor line in sys.stdin: print('sent', repr(line))", reads_input=True)
    one.write_line("plain")
    one.write_line("from windows", end="\r\n")
    one.close_input()
    assert one.wait_until_exited(20.0)
    assert lines(journal) == ["sent 'plain\\n'", "sent 'from windows\\r\\n'"]
    assert wait_for(journal, "note", "end-of-input")


def test_a_flood_is_noticed_bounded_and_does_not_stop_the_program(
    program: Write, journal: Journal
) -> None:
    one = program("while True: print('x' * 70)")
    wait_until(lambda: one.flooded, 60.0)
    one.kill()
    assert len(lines(journal)) <= 20_000


def test_a_line_without_end_is_a_flood_too(program: Write, journal: Journal) -> None:
    one = program("while True: print('x' * 100_000, end='')")
    wait_until(lambda: one.flooded, 60.0)
    one.kill()
    assert all(len(line) <= 2_000 for line in lines(journal))


def test_a_kill_takes_the_children_too(program: Write, journal: Journal) -> None:
    one = program(
        """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid, flush=True)
        time.sleep(600)
        """
    )
    child = pid_said(journal)
    assert one.kill({"body": "held"}) == []
    assert gone(child)
    assert not one.is_running
    assert wait_for(journal, "signal", "kill").data == {"body": "held"}
    assert wait_for(journal, "exited").data == {"status": -9, "asked": True}


@pytest.mark.parametrize("hides", [False, True], ids=["marked", "without the marker"])
def test_a_child_that_escaped_its_session_is_found_and_told_of(
    program: Write, journal: Journal, hides: bool
) -> None:
    environment = "{}" if hides else "None"
    one = program(
        f"""
        import subprocess, sys, time
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            start_new_session=True, env={environment}, stdout=subprocess.DEVNULL,
        )
        print(child.pid, flush=True)
        time.sleep(600)
        """
    )
    child = pid_said(journal)
    assert one.kill() == [child]
    assert gone(child)


def test_a_daemon_whose_parents_are_all_gone_is_ended_with_the_trial(
    program: Write, journal: Journal
) -> None:
    one = program(
        """
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                print(os.getpid(), flush=True)
                os.close(1)
                time.sleep(600)
            os._exit(0)
        os.wait()
        """
    )
    daemon = pid_said(journal)
    assert one.wait_until_exited(20.0)
    assert one.end() == [daemon]
    assert gone(daemon)


def test_a_frozen_program_stands_still_and_goes_on_when_thawed(
    program: Write, journal: Journal
) -> None:
    one = program(
        """
        import time
        while True:
            print("tick", flush=True)
            time.sleep(0.01)
        """
    )
    wait_for(journal, "line")
    one.freeze()
    ticks = len(lines(journal))
    assert psutil.Process(one.pid).status() == psutil.STATUS_STOPPED
    one.drain()
    assert len(lines(journal)) == ticks
    one.thaw()
    wait_until(lambda: len(lines(journal)) > ticks, 20.0)
    assert [e.name for e in journal.events if e.kind == "signal"] == ["freeze", "thaw"]


def test_a_program_stands_before_its_relatives_are_looked_for(
    program: Write, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at all processes is long where there are many: meanwhile no work gets done."""
    one = program("import time\nprint('ready', flush=True)\ntime.sleep(600)")
    wait_for(journal, "line")
    stood: list[bool] = []
    look = Family.living

    def living(family: Family, *, thorough: bool = False) -> list[psutil.Process]:
        # A signal takes a moment to arrive.
        wait_until(lambda: psutil.Process(one.pid).status() == psutil.STATUS_STOPPED, 20.0)
        stood.append(True)
        return look(family, thorough=thorough)

    with monkeypatch.context() as patch:
        patch.setattr(Family, "living", living)
        Family(one.pid, one.mark, lambda: True).suspend()
    assert stood
    one.resume()


def test_what_was_printed_before_a_kill_stands_before_it(program: Write, journal: Journal) -> None:
    one = program(
        """
        import os, time
        os.write(1, b"ready\\n")
        number = 0
        while True:
            number += 1
            os.write(1, b"done %d\\n" % number)
        """
    )
    wait_for(journal, "line")
    one.kill()
    kinds = [event.kind for event in journal.events]
    after = kinds[kinds.index("signal") :]
    # What fits into a pipe and one gulp may be read later; none of it was written later.
    assert after[-1] == "exited"


def test_one_that_ignores_the_request_to_end_is_killed(program: Write, journal: Journal) -> None:
    one = program(
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(600)
        """
    )
    wait_for(journal, "line")
    one.ask_to_end()
    assert not one.wait_until_exited(0.3)
    one.end()
    assert wait_for(journal, "exited").data == {"status": -9, "asked": True}


def test_the_request_to_end_reaches_what_a_shell_started(tmp_path: Path, journal: Journal) -> None:
    """`sh -c` passes no signal on: so the whole group is asked."""
    file = tmp_path / "inner.py"
    file.write_text("import time; print('inside', flush=True); time.sleep(600)")
    command = ["sh", "-c", f"{sys.executable} '{file}'; echo over"]
    one = Program(command, "A", {}, journal, mark=f"{MARK}/sh")
    one.start()
    wait_for(journal, "line")
    one.ask_to_end()
    assert one.wait_until_exited(20.0)
    assert one.end() == []
    assert marked(f"{MARK}/sh") == []


def test_a_bomb_of_forks_is_noticed_and_ended(program: Write) -> None:
    one = program(
        """
        import os, time
        for _ in range(200):  # each child goes on forking: bounded for the sake of this machine
            if os.fork() == 0:
                time.sleep(600)
        time.sleep(600)
        """
    )
    wait_until(lambda: one.forked, 30.0)
    one.kill()
    assert marked(one.mark) == []


def test_the_processor_time_of_the_whole_tree_counts(program: Write, journal: Journal) -> None:
    one = program(
        """
        import subprocess, sys, time
        print("up", flush=True)
        subprocess.run([sys.executable, "-c", "while True: pass"])
        """
    )
    wait_for(journal, "line")
    used_s = one.cpu_s()
    wait_until(lambda: one.cpu_s() > used_s + 0.3, 30.0)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ([], "No command was given"),
        (["no-such-program-at-all"], "no program no-such-program-at-all on the PATH"),
        (["./missing.py"], "no file ./missing.py"),
        (["./plain.py"], "may not be executed"),
        (["./lost.py"], "the program named in its first line"),
        (["./bare"], "nothing that this machine can run by itself"),
        (["./folder"], "is a folder"),
    ],
)
def test_a_command_that_cannot_be_started_is_told_in_a_sentence(
    tmp_path: Path, journal: Journal, command: list[str], told: str
) -> None:
    (tmp_path / "plain.py").write_text("print('hello')")
    for name, text in (("lost.py", "#!/no/such/python\n"), ("bare", "print('hello')")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotStart, match=told) as raised:
        Program(command, "A", {}, journal, mark=MARK, cwd=tmp_path).start()
    assert raised.value.remedy
    assert journal.events == ()
