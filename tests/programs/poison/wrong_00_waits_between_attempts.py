# misconception: none
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])


def work(text):
    time.sleep(len(text) * delay)
    if text.startswith("bad"):
        raise ValueError(text)
    print(f" [x] Done {text}", flush=True)


def callback(ch, method, properties, body):
    for attempt in (1, 2, 3):
        try:
            work(body.decode())
        except ValueError:
            print(f" [!] attempt {attempt} failed, waiting", flush=True)
            time.sleep(2)
        else:
            ch.basic_ack(method.delivery_tag)
            return
    ch.basic_nack(method.delivery_tag, requeue=False)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(f"{queue}.failed", durable=True)
channel.queue_declare(
    queue,
    durable=True,
    arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue}.failed"},
)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, callback)
channel.start_consuming()
