# misconception: 3
import asyncio
import os

import aio_pika


async def work(body):
    await asyncio.sleep(len(body) * float(os.environ["DELAY"]))
    print("done", body, flush=True)


async def main():
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)
    queue = await channel.declare_queue(os.environ["QUEUE"], durable=True)
    tasks = set()
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                tasks.add(asyncio.create_task(work(message.body.decode())))


asyncio.run(main())
