# misconception: none
import os
import subprocess
import sys
import time

import pika


def main():
    queue, delay = os.environ["QUEUE"], float(os.environ["DELAY"])
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.queue_declare(queue, durable=True)
    for method, properties, body in channel.consume(queue, auto_ack=True):
        text = body.decode()
        time.sleep(len(text) * delay)
        print("done", text, flush=True)


if "--daemon" in sys.argv:
    main()
else:  # into the background
    command = [sys.executable, __file__, "--daemon"]
    subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
