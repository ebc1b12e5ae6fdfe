"""Instances of the queue service on this machine, for lessons and tests: each a real process.

`LocalInstances(store_url, ["one", "two"])` is `labs queue-service serve` twice, on loopback
and on ports of their own, behind one store. `instances["one"].crash()` is a kill -9, `start`
brings it back to the same port. They end with the process that started them, as every
`local_server`. The store's address, which may hold a password, goes by the environment.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from labs.task_queue.local_server import LocalServer, Program

STORE = "QUEUE_SERVICE_STORE"


class LocalInstance(LocalServer):
    """One of them."""

    title = "An instance of the queue service"
    ready = "Serving"
    port_taken = "in use"
    in_good_order = signal.SIGTERM
    at_once = signal.SIGKILL

    def __init__(self, store: str, flags: Sequence[str] = ()) -> None:
        """Nothing starts yet.

        Args:
            store: `postgresql://user:password@host/database` or `sqlite:///path`.
            flags: more for `labs queue-service serve`.
        """
        super().__init__(None, {})
        self._store, self._flags = store, tuple(flags)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """Where its store is. Keep it secret."""
        return {STORE: self._store}

    def __repr__(self) -> str:
        return f"<LocalInstance at {self.url}>"

    def _find(self) -> None:
        """It is part of this project."""

    def _prepare(self, home: Path) -> None:
        """Its store keeps all."""

    def _program(self, home: Path, port: int) -> Program:
        serve = [sys.executable, "-m", "labs", "queue-service", "serve", "--port", str(port)]
        return Program([*serve, *self._flags], home)


class LocalInstances(Mapping[str, LocalInstance]):
    """Several on one store, by their names."""

    def __init__(self, store: str, names: Sequence[str], flags: Sequence[str] = ()) -> None:
        self._all = {name: LocalInstance(store, flags) for name in names}

    def start(self) -> Self:
        """Start those that don't run, side by side; return when all answer.

        Raises:
            ServerFailed: one did not start; then none runs.
        """
        try:
            with ThreadPoolExecutor(len(self._all)) as threads:
                list(threads.map(LocalInstance.start, self._all.values()))
        except BaseException:  # a Ctrl-C too
            self.close()
            raise
        return self

    def close(self) -> None:
        """End all, at once. Twice is no error."""
        for instance in self._all.values():
            instance.close()

    @property
    def urls(self) -> list[str]:
        """Where they are, or were."""
        return [instance.url for instance in self._all.values()]

    def __getitem__(self, name: str) -> LocalInstance:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)
