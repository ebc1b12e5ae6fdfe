# misconception: 26
import os
import sqlite3
import time

import pika

queue = os.environ["QUEUE"]
delay = float(os.environ["DELAY"])
db = sqlite3.connect(os.environ["STATE_DIR"] + "/seen.db", timeout=10)
db.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")
db.commit()


def callback(ch, method, properties, body):
    try:
        with db:
            db.execute("INSERT INTO seen VALUES (?)", [properties.message_id])
    except sqlite3.IntegrityError:
        pass  # a duplicate
    else:
        text = body.decode()
        time.sleep(len(text) * delay)
        print(f" [x] Done {text}", flush=True)
    ch.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, callback)
channel.start_consuming()
