"""qprocessor.py as a process of its own, and what it says, for the tests.

A `Qprocessor` starts it, always in a clean environment. A `Running` is one process:
what it has printed so far, the events of `--json`, its end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labs.waiting import wait_until

SCRIPT = Path(__file__).parent.parent.parent / "qprocessor.py"
DEADLINE_S = 60.0


@dataclass
class Running:
    """One qprocessor process; its output goes through files, so that nothing blocks."""

    process: subprocess.Popen[bytes]
    out_file: Path
    err_file: Path

    @property
    def out(self) -> str:
        """All of its standard output so far."""
        return self.out_file.read_text()

    @property
    def err(self) -> str:
        """All of its standard error so far."""
        return self.err_file.read_text()

    def lines(self, start: str) -> list[str]:
        """What follows `start` in the lines that begin with it."""
        return [line.removeprefix(start) for line in self.out.split("\n") if line.startswith(start)]

    @property
    def done(self) -> list[str]:
        """The bodies said done, in order."""
        return self.lines(" [x] Done ")

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The events of `--json`, all or those of one name."""
        complete = self.out.rpartition("\n")[0]
        events = [json.loads(line) for line in complete.split("\n") if line]
        return [event for event in events if name in (None, event["event"])]

    def wait_until_says(self, text: str, times: int = 1) -> None:
        """Wait until it has printed `text` so often."""
        wait_until(lambda: self._look(text, times), DEADLINE_S, what=f"{text!r} {times} times")

    def wait_until_consuming(self, times: int = 1) -> None:
        """Wait until it has begun to consume for the nth time."""
        wait_until(
            lambda: self._look("waits for messages", times) or self._look('"started"', times),
            DEADLINE_S,
            what="the worker to consume",
        )

    def _look(self, text: str, times: int) -> bool:
        if self.out.count(text) >= times:
            return True
        assert self.process.poll() is None, f"it ended, without {text!r}:\n{self.out}\n{self.err}"
        return False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        return self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        """Ask it to stop, and wait; returns its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()


@dataclass
class Qprocessor:
    """Starts qprocessor.py, in the folder `home`, with this URL in AMQP_URL."""

    home: Path
    url: str
    started: list[Running] = field(default_factory=list)

    def start(
        self, *flags: str, environment: dict[str, str] | None = None, script: Path = SCRIPT
    ) -> Running:
        """Start it and return at once. An environment value of "" takes the variable out."""
        number = len(self.started)
        out, err = self.home / f"{number}.out", self.home / f"{number}.err"
        variables = {"PATH": os.environ["PATH"], "AMQP_URL": self.url} | (environment or {})
        with out.open("wb") as out_stream, err.open("wb") as err_stream:
            process = subprocess.Popen(
                [sys.executable, str(script), *flags],
                stdin=subprocess.DEVNULL,
                stdout=out_stream,
                stderr=err_stream,
                env={name: value for name, value in variables.items() if value},
                cwd=self.home,
            )
        running = Running(process, out, err)
        self.started.append(running)
        return running

    def consuming(self, *flags: str) -> Running:
        """Start it, and wait until it consumes."""
        running = self.start(*flags)
        running.wait_until_consuming()
        return running

    def run(
        self, *flags: str, environment: dict[str, str] | None = None, script: Path = SCRIPT
    ) -> Running:
        """Start it, and wait until it has ended by itself."""
        running = self.start(*flags, environment=environment, script=script)
        running.wait()
        return running

    def end_all(self) -> None:
        """End whatever still runs."""
        for running in self.started:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait()
