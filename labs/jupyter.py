"""JupyterLab on the notebooks, as a process of ours.

It listens on loopback alone, with a token, on the first free port from 8888 on.
What it writes goes under `.labs/jupyter`, so that a person's own Jupyter
settings neither change nor matter. Its terminals find `labs` and Python of
`.venv` first, and its kernels know the broker from their environment.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from labs.errors import JupyterFailed
from labs.waiting import wait_until

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
SETTINGS = {
    # No pop-up asks whether to fetch news, and nothing is fetched from outside.
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # Every cell stays on the page: pictures above and below go on being alive while one scrolls.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}


class JupyterLab:
    """One JupyterLab server on a folder; `start` it, show `url` to a person, `stop` it."""

    def __init__(
        self,
        root: Path,
        home: Path,
        *,
        port: int = 8888,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """It shows the folder `root`, opening in its `notebooks`, and writes under `home`."""
        self.root = root
        self.home = home
        self.log = home / "jupyter.log"
        self.url = ""
        """Where the notebooks are, token included; empty until started."""
        self._port = port
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start it and wait until it answers; returns `url`.

        Raises:
            JupyterFailed: it ended, or did not answer within `START_TIMEOUT_S`.
        """
        settings = self.home / "settings"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "overrides.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(settings),
                cwd=self.root,
                env=self._its_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C at the terminal is for us: we then stop it in order.
                start_new_session=True,
            )
        try:
            self.url = wait_until(self._answering_url, START_TIMEOUT_S, what="JupyterLab to answer")
        except BaseException:
            self.stop()
            raise
        return self.url

    def wait(self) -> int:
        """Wait until it ends by itself (somebody chose Shut Down in its menu); its exit code."""
        return self._process.wait() if self._process else 0

    def stop(self) -> None:
        """Stop it, its kernels and its terminals."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _command(self, settings: Path) -> list[str]:
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"),
            *(f"--port={self._port}", "--ServerApp.port_retries=50"),
            f"--ServerApp.root_dir={self.root}",
            f"--FileContentsManager.preferred_dir={self.root / 'notebooks'}",
            f"--LabApp.app_settings_dir={settings}",
            f"--LabApp.user_settings_dir={self.home / 'user-settings'}",
            f"--LabApp.workspaces_dir={self.home / 'workspaces'}",
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")
        return command

    def _its_environment(self) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        return {
            **self._environment,
            "PATH": os.pathsep.join([programs, self._environment.get("PATH", "")]),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            # In the environment, not on the command line, where other users could read it.
            "JUPYTER_TOKEN": secrets.token_urlsafe(24),
        }

    def _answering_url(self) -> str | None:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            last_words = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
            raise JupyterFailed(
                f"JupyterLab ended at once (exit code {code}). It said:\n" + "\n".join(last_words),
                remedy="Where a package is missing, `make clean lab` sets all up anew.",
            )
        facts_file = self.home / "runtime" / f"jpserver-{self._process.pid}.json"
        try:
            facts = json.loads(facts_file.read_text(encoding="utf-8"))
            token = {"token": facts["token"]}
            httpx.get(f"{facts['url']}api/status", params=token).raise_for_status()
        except (OSError, ValueError, httpx.HTTPError):
            return None  # not there, half written, or not answering yet
        return f"{facts['url']}lab/tree/notebooks/00-start-here.ipynb?token={facts['token']}"
