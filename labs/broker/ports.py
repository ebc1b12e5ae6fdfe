"""Ports for a broker of our own: the usual one where it is free, else a free one.

All are below 32768: higher ones are handed out to outgoing connections, so one
that is free now may be somebody's in a second. Even so a port can be taken between
the look and the bind; who binds must be ready to choose again.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

import psutil

LOOPBACK = "127.0.0.1"
LOWEST, HIGHEST = 20000, 32767


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        # macOS lets one bind 127.0.0.1 beside a server on all addresses: so look for one first.
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket() as probe:
        # Without this, connections of a broker just stopped would count as its being there.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(preferred: Iterable[int] = (), *, avoid: Iterable[int] = ()) -> int:
    """The first of `preferred` that is free, else some free port below 32768."""
    avoided = set(avoid)
    for port in preferred:
        if port not in avoided and is_free(port):
            return port
    while True:
        port = random.randint(LOWEST, HIGHEST)
        if port not in avoided and is_free(port):
            return port


def holder(port: int) -> str:
    """The program that listens on this port, where this user may know it; else empty."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()}, process {connection.pid}"
    except psutil.Error:
        pass  # another user's, or a system that tells only its administrator
    return ""
