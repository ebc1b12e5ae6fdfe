"""Small programs for the tests of the judge's machine; the many are in tests/programs."""

from __future__ import annotations

WORKER = """
import os, sys, time, pika
queue, delay = os.environ["QUEUE"], float(os.environ["DELAY"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)

def on_message(channel, method, properties, body):
    time.sleep(len(body.decode()) * delay)
    print("done", body.decode(), flush=True)
    channel.basic_ack(method.delivery_tag)

channel.basic_consume(queue, on_message)
channel.start_consuming()
"""

NEVER_ACKS = WORKER.replace("    channel.basic_ack(method.delivery_tag)\n", "").replace(
    "channel.basic_qos(prefetch_count=1)\n", ""
)

ACKS_FIRST = NEVER_ACKS.replace(
    "    time.sleep(", "    channel.basic_ack(method.delivery_tag)\n    time.sleep("
)

EXCLUSIVE = WORKER.replace("durable=True", "exclusive=True")

TELLS_ITS_URL = WORKER.replace(
    "channel = connection.channel()",
    "for out in (sys.stdout, sys.stderr): print(os.environ['AMQP_URL'], file=out, flush=True)\n"
    "channel = connection.channel()",
)

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WORKER.replace(
    "channel.start_consuming()",
    "while True:\n    connection.process_data_events(time_limit=1)",
)

LEAVES_A_CHILD = (
    """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
"""
    + WORKER
)

HANGS = "import time; time.sleep(600)"

FORKS = """
import os, time
for _ in range(150):  # each goes on living: bounded for the sake of this machine
    if os.fork() == 0:
        time.sleep(600)
time.sleep(600)
"""

GOES_ELSEWHERE = """
import os, time, pika
connection = pika.BlockingConnection(pika.URLParameters(os.environ["ELSEWHERE"]))
while True:
    connection.process_data_events(time_limit=1)
"""

TRANSACTIONS = """
import os, sys, pika
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare(os.environ["QUEUE"], durable=True)
channel.tx_select()
for line in sys.stdin:
    channel.basic_publish("", os.environ["QUEUE"], line.rstrip("\\r\\n").encode())
    channel.tx_commit()
    print("sent", line.rstrip("\\r\\n"), flush=True)
"""
