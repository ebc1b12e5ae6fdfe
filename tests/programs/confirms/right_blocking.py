"""One message at a time, published again until the broker has confirmed it."""

import os
import sys
import time

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

QUEUE = os.environ["QUEUE"]
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def open_channel():
    while True:
        try:
            connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
            channel = connection.channel()
            channel.queue_declare(QUEUE, durable=True)
            channel.confirm_delivery()
        except AMQPError as error:
            print(f"no connection: {error!r}", file=sys.stderr)
            time.sleep(0.3)
        else:
            return channel


def publish(channel, body):
    """Publish until it is safe; returns the channel that is in use now."""
    while True:
        try:
            channel.basic_publish("", QUEUE, body.encode(), PERSISTENT, mandatory=True)
        except UnroutableError:
            channel.queue_declare(QUEUE, durable=True)
        except NackError:
            time.sleep(0.1)
        except AMQPError:
            channel = open_channel()
        else:
            return channel


channel = open_channel()
for line in sys.stdin:
    body = line.rstrip("\r\n")
    channel = publish(channel, body)
    print(f"sent {body}", flush=True)
channel.connection.close()
