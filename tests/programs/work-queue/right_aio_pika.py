"""With aio-pika: the message's context manager acknowledges it at the end of its block."""

import asyncio
import os

import aio_pika


async def main():
    delay = float(os.environ["DELAY"])
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.declare_queue(os.environ["QUEUE"], durable=True)
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    body = message.body.decode()
                    await asyncio.sleep(len(body) * delay)
                    print(f"done {body}", flush=True)


asyncio.run(main())
