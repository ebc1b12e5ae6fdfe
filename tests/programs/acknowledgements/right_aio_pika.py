"""With aio-pika, acknowledging by hand."""

import asyncio
import os

import aio_pika


async def main():
    delay = float(os.environ["DELAY"])
    connection = await aio_pika.connect(os.environ["AMQP_URL"], heartbeat=2)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)
    queue = await channel.declare_queue(os.environ["QUEUE"], durable=True)

    async def on_message(message):
        body = message.body.decode()
        await asyncio.sleep(len(body) * delay)
        print(f"done {body}", flush=True)
        await message.ack()

    await queue.consume(on_message)
    await asyncio.Future()


asyncio.run(main())
