"""What fails is tried once more after a pause of four seconds in a queue of its own."""

import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
retry, failed = f"{queue}.retry", f"{queue}.failed"


def on_message(channel, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    if not text.startswith("bad"):
        print(f"done {text}", flush=True)
    else:
        tried = (properties.headers or {}).get("tried", 0)
        properties.headers = {"tried": tried + 1}
        channel.basic_publish("", failed if tried else retry, body, properties, mandatory=True)
    channel.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare(queue, durable=True)
channel.queue_declare(failed, durable=True)
channel.queue_declare(
    retry,
    durable=True,
    arguments={
        "x-message-ttl": 4000,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
    },
)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, on_message)
channel.start_consuming()
