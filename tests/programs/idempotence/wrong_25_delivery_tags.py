# misconception: 25
import os
import time
from pathlib import Path

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
state = Path(os.environ["STATE_DIR"])


def callback(ch, method, properties, body):
    mark = state / f"{method.delivery_tag}.done"
    if not mark.exists():
        text = body.decode()
        time.sleep(len(text) * delay)
        print(f" [x] Done {text}", flush=True)
        mark.touch()
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, callback)
channel.start_consuming()
