"""Load on an instance of the queue service, by wrk: many connections, each asks when answered.

wrk is an outside tool (Debian: `apt-get install wrk`), its requests are made by the scripts in
`queue_service_wrk`, whose last words are one line of JSON. Tokens are real ones, signed for the
run; the file with them and what else a script needs to know go by the environment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from labs.errors import LabError, NotPossibleHere

SCRIPTS = Path(__file__).parent / "queue_service_wrk"
TOLD = "told: "


@dataclass(frozen=True)
class Told:
    """What one run of wrk came to."""

    requests: int
    took_s: float
    refused: int
    """Answers of 400 and above."""
    broken: int
    """Connections that were refused or cut, and answers that did not come in time."""
    p50_ms: float
    p99_ms: float
    most_ms: float
    counted: int
    """What the script counted."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.took_s


@dataclass(frozen=True)
class Load:
    """What is asked, and by how many at once."""

    script: str
    connections: int
    threads: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    def command(self, wrk: str, url: str, seconds: float) -> list[str]:
        """How wrk is run."""
        return [
            *(wrk, "--latency", "--threads", f"{self.threads}"),
            *("--connections", f"{self.connections}", "--duration", f"{seconds:.0f}s"),
            *("--timeout", "30s", "--script", str(SCRIPTS / f"{self.script}.lua"), url),
        ]


class Wrk:
    """Runs loads; all of them with the tokens of one file."""

    def __init__(self, tokens: Path) -> None:
        """Look for wrk.

        Raises:
            NotPossibleHere: it is not installed.
        """
        self._tokens = tokens
        self._wrk = shutil.which("wrk") or ""
        if not self._wrk:
            raise NotPossibleHere(
                "The load tool wrk is needed to measure the queue service, and is not here.",
                remedy="Install it (Debian: apt-get install wrk; macOS: brew install wrk).",
            )

    def run(self, load: Load, url: str, seconds: float, *, tokens: Path | None = None) -> Told:
        """Load it for so long, and say what came of it.

        Raises:
            LabError: requests were refused or broken: then the figures mean nothing.
        """
        with self.running(load, url, seconds, tokens=tokens) as wrk:
            said, errors = wrk.communicate()
        return told(load, said, errors)

    @contextmanager
    def running(
        self, load: Load, url: str, seconds: float, *, tokens: Path | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Load it in the background; at the end of the block it ends."""
        environment = {
            **os.environ,
            **dict(load.settings),
            "TOKENS": str(tokens or self._tokens),
            "TOLD": str(SCRIPTS / "told.lua"),
        }
        wrk = subprocess.Popen(
            load.command(self._wrk, url, seconds),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield wrk
        finally:
            if wrk.poll() is None:
                wrk.kill()
            wrk.wait()


def told(load: Load, said: str, errors: str) -> Told:
    """What a run says at its end.

    Raises:
        LabError: it says nothing, or requests were refused or broken.
    """
    line = next((one for one in said.splitlines() if one.startswith(TOLD)), None)
    if line is None:
        raise LabError(
            f"wrk has told nothing of {load.script}: {(errors or said).strip()[-500:]}",
            remedy="Does the instance answer, and does wrk run by itself?",
        )
    found = Told(**json.loads(line.removeprefix(TOLD)))
    if found.refused or found.broken:
        raise LabError(
            f"Under the load {load.script}, of {found.requests:,} requests {found.refused:,} were "
            f"refused and {found.broken:,} broken: the figures mean nothing.",
            remedy="Ask the instance by hand, with a token, what it refuses and why.",
        )
    return found
