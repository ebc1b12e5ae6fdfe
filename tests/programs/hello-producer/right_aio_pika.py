"""With aio-pika: standard input is read in a thread, so that the connection stays alive."""

import asyncio
import os
import sys

import aio_pika


async def main():
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(os.environ["QUEUE"], durable=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            body = line.rstrip("\r\n")
            await channel.default_exchange.publish(
                aio_pika.Message(body.encode()), routing_key=queue.name
            )
            print("Sent", body, flush=True)


asyncio.run(main())
