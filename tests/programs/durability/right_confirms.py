"""A durable queue, persistent messages, and the broker's word that it holds them."""

import io
import os
import sys

import pika


def lines():
    for line in io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="\n"):
        yield line.rstrip("\n").rstrip("\r")


def main():
    queue = os.environ["QUEUE"]
    with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(queue, durable=True)
        for body in lines():
            channel.basic_publish(
                exchange="",
                routing_key=queue,
                body=body.encode("utf-8"),
                properties=pika.BasicProperties(content_type="text/plain", delivery_mode=2),
                mandatory=True,
            )
            print(f" [x] Sent {body}", flush=True)


main()
