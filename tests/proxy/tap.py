"""A wire tap: passes bytes on and keeps them, knowing nothing of frames.

One tap before the proxy and one behind it show whether what goes in comes out.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Tap:
    """Listens on a loopback port, and passes each connection on to another port."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.to_broker: list[bytearray] = []
        """What went towards the broker, a connection each."""
        self.to_client: list[bytearray] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=30)

    def wait_until_quiet(self) -> None:
        """Wait until all connections are over."""
        for thread in self._threads[1:]:
            thread.join(timeout=30)
            assert not thread.is_alive(), "a connection is still open"

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._carry, args=(near,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, near: socket.socket) -> None:
        up, down = bytearray(), bytearray()
        self.to_broker.append(up)
        self.to_client.append(down)
        with near, socket.create_connection(("127.0.0.1", self._to)) as far:
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pass, args=(far, near, down), daemon=True)
            back.start()
            _pass(near, far, up)
            back.join()


def _pass(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
    try:
        while data := source.recv(65536):
            kept += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
