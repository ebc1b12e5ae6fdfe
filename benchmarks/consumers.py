"""What is measured: programs that take so many messages from a queue, do nothing, and end.

Each is a process of its own. It gets the broker's URL, the queue, how many messages
to take, whether to acknowledge, and a prefetch. It prints one line `rate N`: messages
a second, from the first message to the last. qprocessor runs as learners run it and
says the same in its JSON events; `benchmarks.runs` reads both.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """One run: what every consumer is told."""

    url: str
    queue: str
    messages: int
    acknowledge: bool
    prefetch: int


class Clock:
    """Counts messages, and knows the rate once the last has come."""

    def __init__(self, messages: int) -> None:
        self.left = messages
        self._messages = messages
        self._began = 0.0

    def tick(self) -> bool:
        """Count one message; true with the last, once the rate is printed."""
        if self.left == self._messages:
            self._began = time.perf_counter()
        self.left -= 1
        if self.left == 0:
            rate = (self._messages - 1) / (time.perf_counter() - self._began)
            print(f"rate {rate:.1f}", flush=True)
        return self.left == 0


def bare_pika(job: Job) -> None:
    """The loop of every tutorial: a callback, and start_consuming."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(job.url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=job.prefetch)
    left = job.messages

    def on_message(channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        nonlocal left
        if job.acknowledge:
            channel.basic_ack(method.delivery_tag)
        left -= 1
        if left == 0:
            channel.stop_consuming()

    channel.basic_consume(job.queue, on_message, auto_ack=not job.acknowledge)
    began = time.perf_counter()
    channel.start_consuming()
    connection.close()
    # As qprocessor's own events: from the moment that it consumes until it has said goodbye.
    print(f"rate {job.messages / (time.perf_counter() - began):.1f}", flush=True)


def kombu(job: Job) -> None:
    """kombu's Consumer over its own py-amqp, as Celery uses it."""
    import kombu

    parts: Any = kombu  # it exports its names lazily, which hides their types

    clock = Clock(job.messages)

    def on_message(message: Any) -> None:
        if job.acknowledge:
            message.ack()
        clock.tick()

    with parts.Connection(job.url) as connection, connection.channel() as channel:
        consumer = parts.Consumer(
            channel,
            [parts.Queue(job.queue, no_declare=True)],
            on_message=on_message,
            no_ack=not job.acknowledge,
            prefetch_count=job.prefetch or None,
        )
        with consumer:
            while clock.left:
                connection.drain_events(timeout=30)


def aio_pika(job: Job) -> None:
    """aio-pika's Queue.consume with a coroutine."""
    import aio_pika

    async def consume() -> None:
        clock, ended = Clock(job.messages), asyncio.Event()

        async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            if job.acknowledge:
                await message.ack()
            if clock.tick():
                ended.set()

        async with await aio_pika.connect(job.url) as connection:
            channel = await connection.channel()
            if job.prefetch:
                await channel.set_qos(prefetch_count=job.prefetch)
            queue = await channel.get_queue(job.queue)
            await queue.consume(on_message, no_ack=not job.acknowledge)
            await ended.wait()

    asyncio.run(consume())


def celery(job: Job) -> None:
    """A Celery worker of one thread; its messages are tasks, which `benchmarks.runs` sends."""
    app = celery_app(job.url, job.queue)
    app.conf.update(
        task_acks_late=True,
        worker_prefetch_multiplier=job.prefetch,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_redirect_stdouts=False,
    )
    clock = Clock(job.messages)

    @app.task(name="benchmark")  # type: ignore[untyped-decorator]
    def _task() -> None:
        if clock.tick():
            os._exit(0)

    flags = ["--pool=solo", "--loglevel=ERROR", "--concurrency=1"]
    flags += [
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        f"--queues={job.queue}",
    ]
    app.worker_main(["worker", *flags])


def celery_app(url: str, queue: str) -> Any:
    """A Celery application on a queue of its own."""
    from celery import Celery  # type: ignore[import-untyped]

    app = Celery("benchmark", broker=url, set_as_current=True)
    app.conf.update(
        task_default_queue=queue,
        task_default_delivery_mode="transient",
        task_ignore_result=True,
    )
    return app


def dramatiq(job: Job) -> None:
    """A Dramatiq worker of one thread; its messages are tasks, which `benchmarks.runs` sends."""
    import dramatiq
    from dramatiq import Worker

    os.environ["dramatiq_queue_prefetch"] = str(job.prefetch)  # noqa: SIM112 - its own spelling
    broker = dramatiq_broker(job.url)
    clock = Clock(job.messages)

    @dramatiq.actor(actor_name="benchmark", queue_name=job.queue, broker=broker)
    def _task() -> None:
        if clock.tick():
            os._exit(0)

    Worker(broker, worker_threads=1).start()
    time.sleep(600)  # the last task ends it


def dramatiq_broker(url: str) -> Any:
    """A Dramatiq broker without the middleware that does other work for each message."""
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    return RabbitmqBroker(url=url, middleware=[], confirm_delivery=False)


CONSUMERS: dict[str, Callable[[Job], None]] = {
    "bare pika loop": bare_pika,
    "kombu": kombu,
    "aio-pika": aio_pika,
    "Celery": celery,
    "Dramatiq": dramatiq,
}


def main() -> None:
    """Run one consumer: `python -m benchmarks.consumers NAME URL QUEUE MESSAGES ACK PREFETCH`."""
    logging.disable(logging.CRITICAL)
    name, url, queue, messages, acknowledge, prefetch = sys.argv[1:]
    job = Job(url, queue, int(messages), acknowledge == "True", int(prefetch))
    CONSUMERS[name](job)


if __name__ == "__main__":
    main()
