"""With transactions: what is committed is in the queue; what is returned is published again."""

import os
import sys
import time

import pika
from pika.exceptions import AMQPError

QUEUE = os.environ["QUEUE"]


class Sender:
    def __init__(self):
        self.channel = None
        self.returned = False

    def connect(self):
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        self.channel = connection.channel()
        self.channel.add_on_return_callback(self.on_return)
        self.channel.tx_select()

    def on_return(self, channel, method, properties, body):
        self.returned = True

    def try_once(self, body):
        if self.channel is None:
            self.connect()
        self.returned = False
        self.channel.queue_declare(QUEUE, durable=True)
        self.channel.basic_publish(
            "", QUEUE, body, pika.BasicProperties(delivery_mode=2), mandatory=True
        )
        self.channel.tx_commit()
        self.channel.connection.process_data_events(0)
        return not self.returned

    def send(self, body):
        while True:
            try:
                if self.try_once(body):
                    return
            except AMQPError:
                self.channel = None
                time.sleep(0.2)


sender = Sender()
for line in sys.stdin:
    body = line.rstrip("\r\n")
    sender.send(body)
    print("sent", body, flush=True)
sender.channel.connection.close()
