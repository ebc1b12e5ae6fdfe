"""With aio-pika: every line has a task of its own, so that many confirms are open at once."""

import asyncio
import os
import sys

import aio_pika
from aio_pika import DeliveryMode, Message

NAME = os.environ["QUEUE"]


class Sender:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.connection = None
        self.channel = None

    async def open_channel(self):
        async with self.lock:
            if self.channel is None or self.channel.is_closed:
                self.connection = await aio_pika.connect(os.environ["AMQP_URL"])
                self.channel = await self.connection.channel(
                    publisher_confirms=True, on_return_raises=True
                )
            await self.channel.declare_queue(NAME, durable=True)
            return self.channel

    async def send(self, body):
        while True:
            try:
                channel = await self.open_channel()
                await channel.default_exchange.publish(
                    Message(body.encode(), delivery_mode=DeliveryMode.PERSISTENT),
                    routing_key=NAME,
                    mandatory=True,
                )
            except (aio_pika.exceptions.AMQPError, OSError) as error:
                print("once more:", body, repr(error), file=sys.stderr)
                await asyncio.sleep(0.2)
            else:
                print(f"sent {body}", flush=True)
                return


async def main():
    sender = Sender()
    tasks = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        tasks.append(asyncio.create_task(sender.send(line.rstrip("\r\n"))))
    await asyncio.gather(*tasks)
    await sender.connection.close()


asyncio.run(main())
