"""Our queue in a bucket, as a subject of `benchmarks.tasks`: on a private SeaweedFS, over loopback.

A bucket is filled with the very objects that the verbs would have left, two a task, side by side.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from benchmarks.tasks_subjects import BODY, Ground, Handle, QueueHandle, Subject
from labs.task_queue.local_s3 import LocalS3
from labs.task_queue.s3 import S3Queue, json_s3_queue
from labs.task_queue.s3_bucket import Bucket
from labs.task_queue.s3_moves import new_nonce
from labs.task_queue.s3_tasks import Home, Kept, place_of

WRITERS = 16


@dataclass(frozen=True)
class S3Ground:
    """A prefix on a private server; a worker in another process finds it by what is in here."""

    base_path: str
    access: dict[str, str]

    def queue(self) -> S3Queue:
        """The queue there."""
        return json_s3_queue(self.base_path, **self.access)

    def open(self) -> Handle:
        """A handle on it."""
        return QueueHandle(self.queue())

    def fill(self, stored: int) -> None:
        """Old tasks: the first half done, the other half waiting."""
        with self.queue() as queue, ThreadPoolExecutor(WRITERS) as threads:
            base = queue._moves.base
            write = partial(write_old, queue._bucket, base, stored)
            for _ in threads.map(write, range(stored), chunksize=100):
                pass


def write_old(bucket: Bucket, base: str, stored: int, number: int) -> None:
    """One old task, in its two objects."""
    put_at = datetime.now(UTC) - timedelta(days=1)
    stamp_ns = int(put_at.timestamp()) * 1_000_000_000 + number
    done = number < stored // 2
    task = Kept(
        id=f"old-{number}",
        place=place_of(0, stamp_ns, new_nonce()),
        priority=0,
        max_attempts=None,
        backoff_s=1.0,
        put_at=put_at,
        due=put_at,
        text=json.dumps(BODY, separators=(",", ":")),
        home=Home.SUCCESS if done else Home.WAITING,
        revision=3 if done else 1,
        nonce=new_nonce(),
        moves=3 if done else 1,
        settled_at=put_at if done else None,
    )
    bucket.write(f"{base}tasks/{task.name}", task.written())
    bucket.write(f"{base}{task.marker.key}")


@contextmanager
def s3_ground() -> Iterator[Ground]:
    """An empty bucket on a server of its own."""
    with LocalS3() as server:
        yield S3Ground(f"{server.base_path}/bench", server.access)


def subjects() -> list[Subject]:
    """The one. A million tasks are two million requests: more than an hour to fill."""
    return [Subject("S3", s3_ground, 100_000, singles=40, batch=200)]
