"""With aio-pika: an exception in the block rejects the message."""

import asyncio
import os

import aio_pika


async def main():
    name, delay = os.environ["QUEUE"], float(os.environ["DELAY"])
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)
    await channel.declare_queue(f"{name}.failed", durable=True)
    queue = await channel.declare_queue(
        name,
        durable=True,
        arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}.failed"},
    )
    async with queue.iterator() as messages:
        async for message in messages:
            try:
                async with message.process(requeue=False):
                    body = message.body.decode()
                    await asyncio.sleep(len(body) * delay)
                    if body.startswith("bad"):
                        raise ValueError(body)
                    print(f"done {body}", flush=True)
            except ValueError as error:
                print("failed:", error, flush=True)


asyncio.run(main())
