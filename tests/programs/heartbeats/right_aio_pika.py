"""With aio-pika: blocking work goes to a thread, and the event loop sends heartbeats."""

import asyncio
import os
import time

import aio_pika

DELAY = float(os.environ["DELAY"])


async def main():
    connection = await aio_pika.connect(os.environ["AMQP_URL"], heartbeat=2)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)
    queue = await channel.declare_queue(os.environ["QUEUE"], durable=True)
    async with queue.iterator() as messages:
        async for message in messages:
            body = message.body.decode()
            await asyncio.to_thread(time.sleep, len(body) * DELAY)
            print(f"done {body}", flush=True)
            await message.ack()


asyncio.run(main())
