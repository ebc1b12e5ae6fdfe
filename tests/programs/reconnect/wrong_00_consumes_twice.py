# misconception: none
import os
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
lost = 0


def callback(ch, method, properties, body):
    text = body.decode()
    time.sleep(len(text) * delay)
    print(f" [x] Done {text}", flush=True)
    ch.basic_ack(delivery_tag=method.delivery_tag)


while True:
    try:
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        channel = connection.channel()
        channel.queue_declare(queue=queue, durable=True)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(queue=queue, on_message_callback=callback)
        for _ in range(lost):  # make up for the consumers that were lost
            channel.basic_consume(queue=queue, on_message_callback=callback)
        channel.start_consuming()
    except pika.exceptions.AMQPError:
        lost += 1
        time.sleep(0.3)
