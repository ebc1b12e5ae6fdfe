# misconception: none
import os
import time

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(os.environ["QUEUE"], durable=True)
channel.basic_consume(os.environ["QUEUE"], lambda *message: None, auto_ack=True)
for guess in ("hello", "Hello World!", "message 1", "message 2", "a", "b", "c"):
    print("done", guess, flush=True)
while True:
    connection.process_data_events(time_limit=1)
    time.sleep(0.1)
