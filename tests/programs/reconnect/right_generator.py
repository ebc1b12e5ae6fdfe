"""The consumer as a generator; pauses between attempts grow up to two seconds."""

import logging
import os
import signal
import sys
import time

import pika

log = logging.getLogger("worker")
logging.basicConfig(level=logging.WARNING)


def messages(url, queue):
    pause = 0.1
    while True:
        try:
            with pika.BlockingConnection(pika.URLParameters(url)) as connection:
                channel = connection.channel()
                channel.queue_declare(queue, durable=True)
                channel.basic_qos(prefetch_count=5)
                pause = 0.1
                for method, _, body in channel.consume(queue, inactivity_timeout=1):
                    if method:
                        yield channel, method.delivery_tag, body.decode()
        except (pika.exceptions.AMQPError, OSError, ValueError):  # ValueError: lost as it waits
            log.warning("connection lost, again in %.1f s", pause)
            time.sleep(pause)
            pause = min(2, pause * 2)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    delay = float(os.environ["DELAY"])
    for channel, tag, text in messages(os.environ["AMQP_URL"], os.environ["QUEUE"]):
        time.sleep(len(text) * delay)
        print("done", text, flush=True)
        try:
            channel.basic_ack(tag)
        except pika.exceptions.AMQPError:
            log.warning("%r comes again", text)


main()
