"""A producer that says `sent` of a message only when the broker has said that it has it.

The broker may answer yes (an ack) or no (a nack; or the message comes back, as there is no
queue for it), or the connection is lost, and there is no answer. Only yes moves on to
the next body. After all else it begins afresh, connection and queue too, with the same body:
rather twice than not at all.
"""

import os
import sys
import time

import pika
from pika.exceptions import AMQPError

QUEUE = os.environ["QUEUE"]
PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)

bodies = (line.rstrip("\r\n") for line in sys.stdin)
body = next(bodies, None)
while body is not None:
    try:
        with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
            channel = connection.channel()
            channel.queue_declare(QUEUE, durable=True)
            channel.confirm_delivery()  # from now on basic_publish waits for the answer
            while body is not None:
                channel.basic_publish("", QUEUE, body, PERSISTENT, mandatory=True)
                print(f"sent {body}", flush=True)
                body = next(bodies, None)
    except AMQPError as trouble:
        print(f"not sent, once more: {trouble!r}", file=sys.stderr)
        time.sleep(0.2)
