# misconception: none
import os
import time

import pika

delay = float(os.environ["DELAY"])
queue = os.environ["QUEUE"]
seen = set()
while True:
    # The messages go back when the connection is closed.
    with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        method, properties, body = channel.basic_get(queue)
        while method:
            text = body.decode()
            if text not in seen:
                seen.add(text)
                time.sleep(len(text) * delay)
                print("done", text, flush=True)
            method, properties, body = channel.basic_get(queue)
        connection.sleep(0.2)
