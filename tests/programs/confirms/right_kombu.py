"""With kombu, which waits for each confirm when it is asked to."""

import os
import sys
import time

import amqp
from kombu import Connection, Queue

NAME = os.environ["QUEUE"]


class Unroutable(Exception):
    pass


def on_return(exception, exchange, routing_key, message):
    raise Unroutable


def connect():
    connection = Connection(os.environ["AMQP_URL"], transport_options={"confirm_publish": True})
    producer = connection.Producer(on_return=on_return)
    Queue(NAME, durable=True)(producer.channel).declare()
    return connection, producer


connection = producer = None
for line in sys.stdin:
    body = line.rstrip("\r\n")
    sent = False
    while not sent:
        try:
            if producer is None:
                connection, producer = connect()
            producer.publish(
                body,
                routing_key=NAME,
                mandatory=True,
                delivery_mode=2,
                content_type="text/plain",
                content_encoding="utf-8",
            )
            sent = True
        except amqp.exceptions.MessageNacked:
            time.sleep(0.1)
        except (Unroutable, OSError, amqp.exceptions.AMQPError) as error:
            print("once more:", repr(error), file=sys.stderr)
            if connection:
                connection.close()
            producer = None
            time.sleep(0.2)
    print("sent", body, flush=True)
if connection:
    connection.close()
