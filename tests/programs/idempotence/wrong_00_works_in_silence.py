# misconception: none
import os
import time
from pathlib import Path

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
log = Path(os.environ["STATE_DIR"]) / "done.txt"


def callback(ch, method, properties, body):
    text = body.decode()
    if not log.exists() or text not in log.read_text():
        time.sleep(len(text) * delay)
        with log.open("a") as file:
            file.write(text + "\n")
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, callback)
channel.start_consuming()
