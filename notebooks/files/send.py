#!/usr/bin/env python3
"""Send messages to a queue, one for each word:  ./send.py --queue hello one two three"""

import argparse
import os
import sys
from pathlib import Path

try:
    import pika
except ModuleNotFoundError:
    sys.exit(" [!] This Python has no pika. Run `source .venv/bin/activate` first.")

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--queue", default="hello", help="the queue's name (default: hello)")
parser.add_argument("bodies", nargs="+", metavar="BODY", help="what a message says")
arguments = parser.parse_args()

lab_url = Path(__file__).resolve().parents[2] / ".labs" / "amqp-url"  # `labs up` leaves it there
url = os.environ.get("AMQP_URL") or (lab_url.read_text() if lab_url.exists() else "amqp://")

try:
    with pika.BlockingConnection(pika.URLParameters(url.strip())) as connection:
        channel = connection.channel()
        channel.confirm_delivery()  # from now on the broker answers each message: "I have it"
        for body in arguments.bodies:
            channel.basic_publish("", arguments.queue, body, mandatory=True)
            print(f" [x] Sent {body}")
except pika.exceptions.UnroutableError:
    sys.exit(f" [!] There is no queue {arguments.queue!r}. Start a worker first: it makes one.")
except (ValueError, IndexError):
    sys.exit(" [!] AMQP_URL can't be read. Its form: amqp://user:password@host:port/vhost")
except (pika.exceptions.AMQPError, OSError) as error:
    sys.exit(f" [!] Nothing could be sent: {error!r}. Is the broker there? `labs status` tells.")
