"""How long a learner waits for the judge: each exercise's own solution, judged.

First one by one, as `labs check EXERCISE` does, then all as `labs check --all
--solutions` does, side by side where the cores allow. The broker is up, and so is the
judge's spare node (its first start is shown apart); both are the benchmark's own. Run
it from the checkout's root, on a machine that does nothing else:

    .venv/bin/python -m benchmarks.judge
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labs.broker.locate import locate, own_node, spare_node
from labs.broker.state import FoundBroker
from labs.cli.check import solutions_of_the_kit
from labs.judge import engine

LIMIT_S, MEDIAN_LIMIT_S, ALL_LIMIT_S = 10.0, 5.0, 90.0


@contextmanager
def lab_of_its_own() -> Iterator[None]:
    """A `.labs` folder with brokers that end with the benchmark, however it ends."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LABS_HOME"] = str(Path(folder) / ".labs")
        os.environ.pop("AMQP_URL", None)
        try:
            yield
        finally:
            for node in (own_node(), spare_node()):
                node.wipe()


def main() -> None:
    """Measure and print."""
    with lab_of_its_own():
        broker = locate(progress=print)
        measure_each(broker)
        measure_all()


def measure_each(broker: FoundBroker) -> None:
    """One exercise after the other."""
    programs = solutions_of_the_kit()
    restarted = next(program for program in programs if program.exercise == "durability")
    begun = time.monotonic()
    engine.check(restarted.exercise, restarted.command, broker=broker, seed="warm")
    print(f"first durability check, with the spare node's start: {time.monotonic() - begun:.1f} s")
    took = {}
    for program in programs:
        begun = time.monotonic()
        run = engine.check(program.exercise, program.command, broker=broker, seed="bench")
        took[program.exercise] = time.monotonic() - begun
        print(f"{program.exercise:<18} {took[program.exercise]:5.1f} s  {run.report.outcome}")
    print(
        f"slowest {max(took.values()):.1f} s (goal {LIMIT_S:g}), "
        f"median {statistics.median(took.values()):.1f} s (goal {MEDIAN_LIMIT_S:g})"
    )


def measure_all() -> None:
    """All of them by one command."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "labs", "check", "--all", "--solutions"], check=False
    )
    print(
        f"labs check --all --solutions: {time.monotonic() - begun:.1f} s (goal {ALL_LIMIT_S:g}), "
        f"exit code {done.returncode}"
    )


if __name__ == "__main__":
    main()
