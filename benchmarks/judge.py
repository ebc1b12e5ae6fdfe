"""How long a learner waits for the judge: each exercise's own solution, judged.

First one by one, as `labs check EXERCISE` does, then all as `labs check --all
--solutions` does, side by side where the cores allow. The broker is up, and so is
the judge's spare node (its first start is shown apart). Run it from the checkout's
root, on a machine that does nothing else:

    .venv/bin/python -m benchmarks.judge
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from labs.broker.locate import locate
from labs.cli.check import solutions_of_the_kit
from labs.judge import engine

LIMIT_S, MEDIAN_LIMIT_S, ALL_LIMIT_S = 10.0, 5.0, 90.0


def main() -> None:
    """Measure and print."""
    broker = locate(progress=print)
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
