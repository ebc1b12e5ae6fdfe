"""An S3 server as several popular ones are: it keeps objects, and ignores the conditions.

It heeds what it is told to: `If-None-Match`, `If-Match`, conditional deletes. Instead of an
answer it can give an error, once or always.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Objects(ThreadingHTTPServer):
    """The objects, and how carefully they are kept."""

    daemon_threads = True

    def __init__(self, *heeds: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heeds = heeds
        self.kept: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.errors: list[tuple[int, str]] = []
        """Answers to give instead, each once; the last again and again if it is `(…, "Full")`."""

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Objects
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        url = urlsplit(self.path)
        _, _, key = unquote(url.path).lstrip("/").partition("/")
        with self.server.lock:
            if errors := self.server.errors:
                error = errors[0] if errors[0][1] == "Full" else errors.pop(0)
                self.refuse(*error)
            elif self.command == "POST":
                for gone in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                    self.server.kept.pop(gone, None)
                self.answer(200, b"<DeleteResult/>")
            elif url.query:
                self.listing(parse_qs(url.query))
            elif self.breaks_a_condition(key):
                self.refuse(412, "PreconditionFailed")
            elif self.command == "PUT":
                self.server.kept[key] = body
                self.answer(200, etag=etag_of(body))
            elif key not in self.server.kept:
                self.refuse(404, "NoSuchKey")
            elif self.command == "DELETE":
                del self.server.kept[key]
                self.answer(204)
            else:
                self.answer(200, self.server.kept[key], etag=etag_of(self.server.kept[key]))

    do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that http.server calls

    def breaks_a_condition(self, key: str) -> bool:
        there = self.server.kept.get(key)
        if "If-None-Match" in self.headers and "If-None-Match" in self.server.heeds:
            return there is not None
        heeded = "delete" if self.command == "DELETE" else "If-Match"
        if "If-Match" in self.headers and heeded in self.server.heeds:
            return there is None or etag_of(there) != self.headers["If-Match"]
        return False

    def listing(self, query: dict[str, list[str]]) -> None:
        prefix, after = query["prefix"][0], query.get("start-after", [""])[0]
        keys = sorted(key for key in self.server.kept if key.startswith(prefix) and key > after)
        lines = "".join(
            f"<Contents><Key>{escape(key)}</Key>"
            "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for key in keys[: min(1000, int(query["max-keys"][0]))]
        )
        self.answer(200, f"<ListBucketResult>{lines}</ListBucketResult>".encode())


def etag_of(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


@contextmanager
def careless_s3(*heeds: str) -> Iterator[Objects]:
    """One that heeds these alone."""
    with Objects(*heeds) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
